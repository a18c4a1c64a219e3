"""What the three kinds share: bounded field types, conditions, the pod template allow-list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from redstart.api.v1alpha1.scalars import LongWord, Quantity

GROUP = "redstart.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


# Every string, list and map is bounded: the API server refuses a CEL rule whose worst cost it cannot bound.
def worded(message: str) -> Any:
    """What the API server says in place of a string's pattern; crd.py makes a CEL rule of the two."""
    return Field(json_schema_extra={"x-redstart-message": message})


def rules(*entries: tuple[str, str]) -> dict[str, Any]:
    """`json_schema_extra` holding CEL rules, given as (rule, message)."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in entries]}


Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"),
    worded("use a-z, 0-9, '-' and '.', with a letter or digit at both ends"),
]
ModelName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=40, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$"),
    worded("use a-z, 0-9 and '-', with a letter at the beginning and a letter or digit at the end"),
]
Column = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Text = Annotated[str, StringConstraints(max_length=4096)]
ShortText = Annotated[str, StringConstraints(max_length=256)]
Digest = Annotated[
    str,
    StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71),
    worded("use sha256: and 64 hexadecimal digits in lower case"),
]
Uri = Annotated[
    str,
    StringConstraints(
        max_length=4096, pattern=r"^(s3|gs|az|https?|pvc|configmap)://[^\s]([^\x00-\x1f\x7f]*[^\s])?$"
    ),
    worded("use s3://bucket/path, gs://, az://, https://, pvc://claim/path or configmap://name/key"),
]
OutputUri = Annotated[
    str,
    StringConstraints(max_length=1024, pattern=r"^(s3|gs|az|pvc)://[^\s]+$"),
    worded("use pvc://claim/path, s3://bucket/path, gs:// or az://"),
]
Duration = Annotated[
    str,
    StringConstraints(max_length=24, pattern=r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"),
    worded('use whole numbers with the units h, m, s or ms, for instance "90s", "2h" or "1h30m"'),
]
PositiveDuration = Annotated[
    Duration, Field(json_schema_extra=rules(("self.matches('[1-9]')", "must be longer than 0s")))
]
Timestamp = Annotated[str, StringConstraints(max_length=64), Field(json_schema_extra={"format": "date-time"})]
Metric = Annotated[str, StringConstraints(max_length=64)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Format = Literal["ONNX", "Skops", "Joblib"]


class Model(BaseModel):
    """Base of every API type: camelCase outside, snake_case inside, unknown fields refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        use_attribute_docstrings=True,
        frozen=True,
    )

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, without fields that are not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Status(Model):
    """Base of every status. What an older or newer operator wrote is no reason to fail: extras are ignored."""

    model_config = ConfigDict(extra="ignore")


class SecretRef(Model):
    """A Secret of the same namespace whose keys are the object store's options."""

    name: Name
    """Name of the Secret. Its keys are options such as AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION,
    AWS_ENDPOINT_URL and AWS_ALLOW_HTTP; it is mounted only into the containers that read or write the store."""


class Resources(Model):
    """CPU and memory, as in any container."""

    requests: Annotated[dict[ShortText, Quantity], Field(max_length=10)] | None = None
    """What the scheduler reserves, for instance {cpu: 500m, memory: 512Mi}."""
    limits: Annotated[dict[ShortText, Quantity], Field(max_length=10)] | None = None
    """What the container may use at most."""


class EnvVar(Model):
    """One environment variable. Values from Secrets are not offered here: credentials are secretRefs."""

    name: Annotated[str, StringConstraints(max_length=256, pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")]
    """Name of the variable. Names that begin with REDSTART_ are the operator's."""
    value: LongWord = ""
    """Its value."""


class LocalObjectReference(Model):
    """A named object in the same namespace."""

    name: Name
    """Name of the object."""


_OPAQUE: dict[str, Any] = {"x-kubernetes-preserve-unknown-fields": True}


_OUR_LABELS = (
    "!has(self.labels) || self.labels.all(k, !k.startsWith('redstart.dev/') && "
    "!k.startsWith('app.kubernetes.io/'))",
    "template.labels: redstart.dev/* and app.kubernetes.io/* are set by the operator; use another prefix",
)


class Placement(Model):
    """What a pod carries beside its containers, and where it may run. An allow-list: a whole pod spec passed through
    would run on the operator's authority, so securityContext and volumes are not among it."""

    labels: Annotated[dict[ShortText, ShortText], Field(max_length=32)] | None = None
    """Labels added to the pod, for instance kueue.x-k8s.io/queue-name."""
    annotations: Annotated[dict[ShortText, Text], Field(max_length=32)] | None = None
    """Annotations added to the pod."""
    node_selector: Annotated[dict[ShortText, ShortText], Field(max_length=32)] | None = None
    """Node labels that the pod needs."""
    affinity: Annotated[dict[str, Any], Field(json_schema_extra=_OPAQUE)] | None = None
    """Affinity, as in a pod."""
    tolerations: (
        Annotated[
            list[Annotated[dict[str, Any], Field(json_schema_extra=_OPAQUE)]],
            Field(max_length=32),
        ]
        | None
    ) = None
    """Tolerations, as in a pod."""
    topology_spread_constraints: (
        Annotated[
            list[Annotated[dict[str, Any], Field(json_schema_extra=_OPAQUE)]],
            Field(max_length=16),
        ]
        | None
    ) = None
    """Topology spread constraints, as in a pod."""
    priority_class_name: Name | None = None
    """PriorityClass of the pod."""
    runtime_class_name: Name | None = None
    """RuntimeClass of the pod."""
    image_pull_secrets: Annotated[list[LocalObjectReference], Field(max_length=8)] | None = None
    """Secrets for pulling the image."""
    service_account_name: Name | None = None
    """ServiceAccount of the pod, for workload identity. Its token is not mounted."""
    resources: Resources | None = None
    """CPU and memory of the main container. What is not named here comes from the operator's settings."""


class RouterTemplate(Placement):
    """What may be changed about the router's pods."""

    model_config = ConfigDict(json_schema_extra=rules(_OUR_LABELS))


class PodTemplate(Placement):
    """What may be changed about a generated pod."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.env) || self.env.all(e, !e.name.startsWith('REDSTART_'))",
                "template.env: names that begin with REDSTART_ are set by the operator; choose another name",
            ),
            _OUR_LABELS,
            (
                "!has(self.args) || has(self.command)",
                "template.args: Redstart's own command takes no arguments; give template.command too",
            ),
        )
    )

    env: Annotated[list[EnvVar], Field(max_length=64)] | None = None
    """Environment variables of the main container, and of the step that fetches the artifact."""
    image: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """Image of the main container in place of Redstart's runtime."""
    command: Annotated[list[Text], Field(min_length=1, max_length=64)] | None = None
    """Command of the main container in place of Redstart's."""
    args: Annotated[list[Text], Field(max_length=64)] | None = None
    """Arguments of that command."""


class Condition(Status):
    """A condition as in metav1.Condition, read by kstatus."""

    type: Annotated[str, StringConstraints(max_length=64)]
    """What the condition is about."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Annotated[str, StringConstraints(max_length=128)]
    """Why, in one word."""
    message: Annotated[str, StringConstraints(max_length=32768)]
    """Why, in a sentence."""
    last_transition_time: Timestamp
    """When status last changed."""
    observed_generation: int = -1
    """The generation of the spec that this is about."""


class Conditioned(Status):
    """What every status has."""

    observed_generation: int = -1
    """The newest generation of the spec that the operator has acted on; -1 before the first time."""
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = []
    """Ready always; Reconciling and Stalled only while they are True."""


class Gate(Model):
    """A bound that a metric on the held-out rows must keep."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.atLeast) != has(self.atMost)",
                "gates: give exactly one of atLeast and atMost",
            )
        )
    )

    metric: Literal[
        "accuracy", "precision", "recall", "f1", "precisionMacro", "recallMacro", "f1Macro", "rocAuc",
        "mae", "rmse", "r2",
    ]  # fmt: skip
    """The metric: accuracy, precision, recall, f1, their macro averages and rocAuc for Classification; mae, rmse
    and r2 for Regression."""
    at_least: Number | None = None
    """The metric must not be below this."""
    at_most: Number | None = None
    """The metric must not be above this."""


class GateResult(Status):
    """A gate and what came of it."""

    metric: Metric
    """The metric."""
    value: Number
    """Its value on the held-out rows."""
    bound: Number
    """The bound."""
    direction: Literal["AtLeast", "AtMost"]
    """Which side of the bound passes."""
    passed: bool
    """Whether it passed."""


class Artifact(Model):
    """A model's files in a store, named by the digest of their manifest."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self.uri == oldSelf.uri", "artifact.uri is immutable: register another version"),
            ("self.digest == oldSelf.digest", "artifact.digest is immutable: register another version"),
            ("self.format == oldSelf.format", "artifact.format is immutable: register another version"),
            (
                "!has(self.secretRef) || !self.uri.startsWith('pvc://')",
                "artifact.secretRef: pvc:// needs no credentials; remove secretRef",
            ),
        )
    )

    uri: OutputUri
    """The folder that holds manifest.json, for instance pvc://models/machine-failure/artifacts/3f9a..."""
    digest: Digest
    """sha256 of manifest.json, which names every other file with its size and sha256."""
    format: Format
    """How the model is stored: ONNX, Skops, or Joblib where the operator's settings allow it."""
    secret_ref: SecretRef | None = None
    """Credentials of the store. May be changed, for instance when they are rotated."""


def condition_of(status: Mapping[str, Any], type_: str) -> Mapping[str, Any] | None:
    """The condition of that type in a status as the API server holds it, or None."""
    return next((c for c in status.get("conditions", []) if c.get("type") == type_), None)
