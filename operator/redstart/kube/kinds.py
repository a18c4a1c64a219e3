"""The kinds that the operator reads or writes, and how their objects are named.

Objects are plain dicts as the API server sends them: typed models on the hot path cost memory and lose
fields that a newer server adds.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

Object = dict[str, Any]
Objects = list[Object]

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGER = "redstart"
MANAGED_BY_SELECTOR = f"{MANAGED_BY_LABEL}={MANAGER}"


@dataclass(frozen=True, slots=True)
class Kind:
    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """The URL path of a collection or an object; no namespace means the whole cluster."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        within = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{within}/{self.plural}" + (f"/{name}" if name else "")

    def __str__(self) -> str:
        return self.kind


class Key(NamedTuple):
    """What a reconcile is about."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.kind} {self.namespace}/{self.name}"


TRAINING_JOB = Kind("redstart.dev", "v1alpha1", "TrainingJob", "trainingjobs")
MODEL_VERSION = Kind("redstart.dev", "v1alpha1", "ModelVersion", "modelversions")
INFERENCE_SERVICE = Kind("redstart.dev", "v1alpha1", "InferenceService", "inferenceservices")

DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
SERVICE = Kind("", "v1", "Service", "services")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
JOB = Kind("batch", "v1", "Job", "jobs")
POD = Kind("", "v1", "Pod", "pods")
POD_DISRUPTION_BUDGET = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
PERSISTENT_VOLUME_CLAIM = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")
EVENT = Kind("", "v1", "Event", "events")

# Ours are watched whole, children by label, claims whole because users make them.
PRIMARY_KINDS = (TRAINING_JOB, MODEL_VERSION, INFERENCE_SERVICE)
CHILD_KINDS = (DEPLOYMENT, SERVICE, CONFIG_MAP, JOB, POD, POD_DISRUPTION_BUDGET, NETWORK_POLICY)
WATCHED_KINDS = (*PRIMARY_KINDS, *CHILD_KINDS, PERSISTENT_VOLUME_CLAIM)

_BY_API = {(kind.api_version, kind.kind): kind for kind in (*WATCHED_KINDS, LEASE, EVENT)}


def by_api(api_version: str, kind: str) -> Kind:
    """The Kind of an object's `apiVersion` and `kind`; KeyError when the operator does not know it."""
    return _BY_API[api_version, kind]


def kind_of(obj: Object) -> Kind:
    return by_api(obj["apiVersion"], obj["kind"])


def key_of(obj: Object) -> Key:
    metadata = obj["metadata"]
    return Key(kind_of(obj), metadata.get("namespace", ""), metadata["name"])


def controller_of(obj: Object) -> Object | None:
    """The ownerReference that controls the object, if any."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return dict(reference)
    return None
