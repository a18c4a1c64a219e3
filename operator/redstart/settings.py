"""The operator's own settings: one YAML file (a ConfigMap made by the Helm chart), validated as a whole.

A file with a mistake is refused with the field's name: at the start the process ends, later it keeps the
settings that it has.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from redstart.api import durations
from redstart.api.v1alpha1.common import GROUP, EnvVar, LocalObjectReference, Name, Resources

ENVIRONMENT = "REDSTART_SETTINGS"
DEFAULT_PATH = Path("/etc/redstart/settings.yaml")

# Read once, when the process starts; a change of one of them restarts it.
AT_START = frozenset(
    {"watch_namespaces", "workers", "leader_election", "health_port", "metrics_port", "scrape_connections"}
)


class SettingsError(Exception):
    """The file cannot be used; the message names the file, the field and what is wrong with it."""


def _seconds(duration: Any) -> float:
    if not isinstance(duration, str):
        raise ValueError('must be a duration such as "90s"')
    return durations.seconds(duration)


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("must be more than zero")
    return value


Seconds = Annotated[float, BeforeValidator(_seconds), AfterValidator(_positive)]
Port = Annotated[int, Field(ge=1, le=65535)]
Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
OptionalName = Annotated[Name | None, BeforeValidator(lambda text: text or None)]
Format = Literal["ONNX", "Skops", "Joblib"]


class _Settings(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True, validate_default=True
    )


class Images(_Settings):
    """What the operator puts into pods."""

    runtime: str = Field(min_length=1, description="trainer, server and sidecar")
    router: str = Field(min_length=1, description="Envoy")


class Log(_Settings):
    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Rollout(_Settings):
    scrape_interval: Seconds = Field("1s", description="between two looks at pods and routers in a rollout")  # type: ignore[assignment]


class Serving(_Settings):
    drain: Seconds = Field(  # type: ignore[assignment]
        "35s",
        le=600,
        description="how long a pod that is going away goes on answering; longer than the cluster's DNS cache",
    )


class Router(_Settings):
    replicas: int = Field(1, ge=1, le=20, description="router pods of each InferenceService")


def _not_ours(labels: Mapping[str, str]) -> Mapping[str, str]:
    for key in labels:
        if key.startswith((f"{GROUP}/", "app.kubernetes.io/")):
            raise ValueError(f"{key} is set by the operator; use another prefix")
    return labels


def _not_ours_either(env: tuple[EnvVar, ...]) -> tuple[EnvVar, ...]:
    for variable in env:
        if variable.name.startswith("REDSTART_"):
            raise ValueError(f"{variable.name} is set by the operator; choose another name")
    return env


def _resources(cpu: str, memory: str, most_cpu: str, most_memory: str) -> Resources:
    return Resources(requests={"cpu": cpu, "memory": memory}, limits={"cpu": most_cpu, "memory": most_memory})


class ContainerResources(_Settings):
    """CPU and memory by container. An object's own template changes those of its main container, name by name."""

    trainer: Resources = _resources("100m", "512Mi", "2", "2Gi")
    verifier: Resources = _resources("100m", "256Mi", "1", "2Gi")
    fetch: Resources = _resources("50m", "64Mi", "500m", "256Mi")
    server: Resources = _resources("100m", "256Mi", "1", "1Gi")
    sidecar: Resources = _resources("50m", "48Mi", "500m", "128Mi")
    router: Resources = _resources("50m", "96Mi", "1", "256Mi")


class Pods(_Settings):
    """What every pod carries that the operator makes, beside what its object's own template says."""

    labels: Annotated[dict[str, str], AfterValidator(_not_ours)] = {}
    annotations: dict[str, str] = {}
    node_selector: dict[str, str] = {}
    tolerations: tuple[dict[str, Any], ...] = ()
    priority_class_name: OptionalName = None
    service_account_name: OptionalName = None
    image_pull_secrets: tuple[LocalObjectReference, ...] = ()
    env: Annotated[tuple[EnvVar, ...], AfterValidator(_not_ours_either)] = Field(
        (), description="of every container; for instance the variables that name a proxy"
    )
    trusted_certificates: OptionalName = Field(
        None,
        description="a ConfigMap of each namespace whose ca.crt (PEM) is trusted in place of the image's own",
    )
    fixed_user: bool = Field(
        True,
        description="run as user and group 65532; false leaves both to the cluster, as OpenShift wants it",
    )
    listen_on: Literal["::", "0.0.0.0"] = Field(  # noqa: S104 - a pod has the addresses that its network gives it
        "::", description="0.0.0.0 where the nodes' kernels know no IPv6"
    )
    resources: ContainerResources = ContainerResources()


class LeaderElection(_Settings):
    """A leader stops writing `renewDeadline` after its last renewal, and another may lead `leaseDuration`
    after it: the difference is what a last write has to arrive.
    """

    enabled: bool = True
    lease_duration: Seconds = "15s"  # type: ignore[assignment]
    renew_deadline: Seconds = "10s"  # type: ignore[assignment]
    retry_period: Seconds = "2s"  # type: ignore[assignment]

    @model_validator(mode="after")
    def _ordered(self) -> "LeaderElection":
        if not self.lease_duration > self.renew_deadline > self.retry_period:
            raise ValueError(
                "leaseDuration must be longer than renewDeadline, and that longer than retryPeriod"
            )
        if self.lease_duration != int(self.lease_duration):
            raise ValueError("leaseDuration must be whole seconds, as a Lease holds them")
        return self


class Settings(_Settings):
    images: Images
    watch_namespaces: tuple[Namespace, ...] = Field((), description="empty: the whole cluster")
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    cluster_domain: str = Field("cluster.local", pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    allowed_formats: tuple[Format, ...] = Field(("ONNX", "Skops"), min_length=1)
    log: Log = Log()
    workers: int = Field(4, ge=1, le=64, description="reconciles at once")
    scrape_connections: int = Field(64, ge=1, le=1024, description="open connections to pods at once")
    resync_interval: Seconds = Field("10m", description="between two comparisons of the cache with LIST")  # type: ignore[assignment]
    rollout: Rollout = Rollout()
    serving: Serving = Serving()
    router: Router = Router()
    pods: Pods = Pods()
    leader_election: LeaderElection = LeaderElection()
    metrics_port: Port = 8080
    health_port: Port = 8081

    @model_validator(mode="after")
    def _distinct_ports(self) -> "Settings":
        if self.metrics_port == self.health_port:
            raise ValueError("metricsPort and healthPort must differ")
        return self


def load(path: Path) -> Settings:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


def parse(text: str) -> Settings:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"is not YAML: {error}") from error
    if not isinstance(content, Mapping):
        raise SettingsError("must be a YAML mapping with at least images.runtime and images.router")
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(item) for item in error.errors())) from error


def needs_restart(old: Settings, new: Settings) -> list[str]:
    """The fields that differ and are read only when the process starts, as the file spells them."""
    return sorted(to_camel(name) for name in AT_START if getattr(old, name) != getattr(new, name))


def _sentence(error: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "settings"
    return f"{where}: {str(error['msg']).removeprefix('Value error, ')}"
