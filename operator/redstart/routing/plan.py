"""What the router is told: which revision gets which share of the requests, and what happens when one fails."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Arm:
    """A revision that the router can send requests to.

    `host` is its headless Service's full DNS name with the last dot: without it each look-up would first try the
    pod's search domains."""

    revision: str
    host: str

    def __post_init__(self) -> None:
        if not self.host.endswith("."):
            raise ValueError(f"host {self.host!r} of revision {self.revision} must end with a dot")

    @property
    def as_stable(self) -> str:
        """The Envoy cluster that takes its requests while it is stable."""
        return f"stable-{self.revision}"

    @property
    def again(self) -> str:
        """The Envoy cluster of the same pods that takes what as_stable has failed to answer."""
        return f"again-{self.revision}"

    @property
    def tries(self) -> str:
        """The Envoy cluster that leads each try of a request to stable to the one or the other."""
        return f"tries-{self.revision}"

    @property
    def as_canary(self) -> str:
        """The Envoy cluster that takes its requests while it is the canary."""
        return f"canary-{self.revision}"

    @property
    def last_resort(self) -> str:
        """The full DNS name of its Service with an address of its own."""
        service, domain = self.host.split(".", 1)
        return f"{last_resort_name(service)}.{domain}"


@dataclass(frozen=True)
class TrafficPlan:
    """The whole of the router's configuration. A later plan of a service has a higher `number`.

    `weight` is the percentage of requests drawn for the canary. With `retry_on_stable` a request that fails on
    the canary is answered by stable within `timeout_seconds`. Without it no request that has reached a server is
    sent again, to either arm. `listen_on`: "::" answers IPv4 too."""

    number: int
    service: str
    namespace: str
    stable: Arm
    canary: Arm | None = None
    weight: int = 0
    retry_on_stable: bool = True
    timeout_seconds: float = 10.0
    port: int = 8080
    health_port: int = 9102
    listen_port: int = 8080
    stats_port: int = 9902
    listen_on: str = "::"

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 100:
            raise ValueError(f"weight must be between 0 and 100 percent; got {self.weight}")
        if self.canary is None and self.weight:
            raise ValueError(f"weight is {self.weight} percent and there is no canary to take it")
        if self.canary is not None and self.canary.revision == self.stable.revision:
            raise ValueError(f"canary and stable are the same revision {self.stable.revision}")
        if self.timeout_seconds <= 0:
            raise ValueError(f"timeout_seconds must be above 0; got {self.timeout_seconds}")

    @property
    def second_opinion(self) -> str | None:
        """The revision whose refusals (400 and 422) stable is asked about, if any."""
        return self.canary.revision if self.canary is not None and self.retry_on_stable else None

    @property
    def beside(self) -> str:
        """The full DNS name of the headless Service of whatever is beside stable; it does not exist without that.

        The same for every revision, so that stable's cluster need not change when a canary comes."""
        return beside_name(self.service) + "." + self.stable.host.split(".", 1)[1]


def last_resort_name(revision_service: str) -> str:
    """Name of the Service with an address of its own beside a revision's headless one.

    Where no pod is ready, a headless Service's name has no address, for as long as DNS keeps that answer; this one's
    has, and kube-proxy sends what comes to it to pods that are leaving but still answer."""
    return f"{revision_service}-any"


def beside_name(service: str) -> str:
    """Name of the headless Service that selects the revision beside stable."""
    return f"{service}-beside"
