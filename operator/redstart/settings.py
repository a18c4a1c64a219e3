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
