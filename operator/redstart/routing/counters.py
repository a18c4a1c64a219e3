"""What a router reports: the plan in force, healthy hosts, first attempts per revision. Pure.

Envoy counts for each host of each priority. Only priority 0 of the clusters of first attempts is read, where nothing
else is counted: retries go to other priorities, or another cluster (see envoy.py). How Envoy 1.40 counts one of them,
from its source/common/router/router.cc and measured in tests/integration/routing:

- `rq_success`: an answer below 500 that was passed on.
- `rq_error`: an answer of 500 or more, a reset, a connection that failed, a timeout, or any answer that was
  thrown away for a retry.
- `rq_timeout` counts a timeout a second time, and `rq_total` leaves out connections that failed and counts what is
  still on its way: neither is used.

A refusal (400, 422) by the canary is thrown away and stable is asked, so it is in `rq_error`. When stable refuses
too, the client was wrong and not the canary: `upstream_rq_400` and `_422` of the cluster, which count final answers
only, are taken off again. So a canary is charged for exactly the refusals that stable does not share.

Where nobody is asked again, nobody knows of a single refusal whose fault it is. There the final refusals of both arms
count as errors of theirs: what clients do wrong they do on both arms alike, and the comparison is of the rest.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from redstart.routing.envoy import REFUSALS

CLUSTERS_PATH = "/clusters?format=json"
_CLUSTER = "(?:stable|canary)-([0-9a-z]+)"
_ROUTED = "(?:tries|canary)-([0-9a-z]+)"
_FINAL_REFUSAL = rf"cluster\.{_ROUTED}\.upstream_rq_({'|'.join(map(str, REFUSALS))})"
_ROUTES_VERSION = r"http\.clients\.rds\.service\.version_text"
_CLUSTERS_VERSION = r"cluster_manager\.cds\.version_text"
STATS_PATH = "/stats?filter=" + quote(
    rf"^(server\.uptime|cluster_manager\.warming_clusters|{_CLUSTERS_VERSION}|{_ROUTES_VERSION}|{_FINAL_REFUSAL})$",
    safe="",
)


@dataclass(frozen=True)
class Counts:
    """First attempts that have ended, those of them that failed, and those of the failed that were refused and not
    asked again."""

    requests: int = 0
    errors: int = 0
    refused: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.requests + other.requests, self.errors + other.errors, self.refused + other.refused
        )

    def since(self, before: Counts) -> Counts:
        """What was added after `before`; all of it when the counters began anew in between."""
        if self.requests < before.requests or self.errors < before.errors:
            return self
        return Counts(self.requests - before.requests, self.errors - before.errors)


@dataclass(frozen=True)
class ArmReading:
    """One revision as one router sees it.

    `hosts`: cluster and address to counts since the router learned of it; `healthy`: hosts that can get a request now;
    `refused`: requests that every arm refused, since the router's start."""

    hosts: Mapping[str, Counts] = field(default_factory=dict)
    healthy: int = 0
    refused: int = 0

    def merged(self, other: ArmReading) -> ArmReading:
        """Both of a revision's clusters: hosts count as healthy once they are in either role."""
        return ArmReading({**self.hosts, **other.hosts}, min(self.healthy, other.healthy), self.refused)


@dataclass(frozen=True)
class Reading:
    """One look at one router.

    `plan`: number of the plan whose weights are in force, None before the first; `clusters_plan`: the same for the
    clusters, None while one of them is warming, that is waiting for DNS or a first health check."""

    uptime_seconds: int
    plan: int | None
    clusters_plan: int | None
    arms: Mapping[str, ArmReading]
    answering: frozenset[str] = frozenset()
    """Revisions that, as stable, would have somebody answer for them, at any priority."""

    def can_take(self, revision: str) -> bool:
        """Whether a request drawn for this revision would reach one of its own hosts."""
        arm = self.arms.get(revision)
        return self.clusters_plan is not None and arm is not None and arm.healthy > 0


def parse_reading(clusters_json: str, stats_text: str) -> Reading:
    """A router's answers to CLUSTERS_PATH and STATS_PATH; ValueError when they are none."""
    stats = _stats(stats_text)
    try:
        uptime, warming = int(stats["server.uptime"]), int(stats["cluster_manager.warming_clusters"])
    except KeyError as error:
        raise ValueError(f"the router's /stats has no {error.args[0]}") from error
    refused: Counter[str] = Counter()
    for name, value in stats.items():
        if match := re.fullmatch(_FINAL_REFUSAL, name):
            refused[match[1]] += int(value)
    statuses = _statuses(clusters_json)
    return Reading(
        uptime_seconds=uptime,
        plan=parse_plan_in_force(stats_text),
        clusters_plan=_number(stats, _CLUSTERS_VERSION) if warming == 0 else None,
        arms=_arms(statuses, refused),
        answering=_answering(statuses),
    )


def parse_plan_in_force(stats_text: str) -> int | None:
    """The number of the plan whose weights are in force, from any /stats text that holds RDS's version_text."""
    return _number(_stats(stats_text), _ROUTES_VERSION)


def parse_clusters(clusters_json: str) -> dict[str, ArmReading]:
    """Revision to its hosts' counts and health, from /clusters?format=json; ValueError when it is none."""
    return _arms(_statuses(clusters_json), {})


Hosts = list[dict[str, Any]]


def _statuses(clusters_json: str) -> dict[str, Hosts]:
    """Each cluster's hosts. JSON from protobuf leaves out what is empty, 0 or false."""
    try:
        statuses = json.loads(clusters_json)["cluster_statuses"]
        return {cluster["name"]: cluster.get("host_statuses", []) for cluster in statuses}
    except (KeyError, TypeError) as error:
        raise _unlike_envoy(error) from error


def _arms(statuses: Mapping[str, Hosts], refused: Mapping[str, int]) -> dict[str, ArmReading]:
    try:
        arms: dict[str, ArmReading] = {}
        for name, hosts in statuses.items():
            if match := re.fullmatch(_CLUSTER, name):
                arm = _arm(name, hosts, refused.get(match[1], 0))
                arms[match[1]] = arms[match[1]].merged(arm) if match[1] in arms else arm
        return arms
    except (KeyError, TypeError) as error:
        raise _unlike_envoy(error) from error


def _unlike_envoy(error: Exception) -> ValueError:
    return ValueError(f"the router's /clusters is not what Envoy answers: {error!r}")


def _answering(statuses: Mapping[str, Hosts]) -> frozenset[str]:
    return frozenset(
        name.removeprefix("again-")
        for name, hosts in statuses.items()
        if name.startswith("again-") and any(_is_healthy(host.get("health_status", {})) for host in hosts)
    )


def _arm(cluster: str, hosts: Hosts, refused: int) -> ArmReading:
    first = [host for host in hosts if not host.get("priority")]
    return ArmReading(
        hosts={f"{cluster}/{_address(host)}": _counts(host) for host in first},
        healthy=sum(_is_healthy(host.get("health_status", {})) for host in first),
        refused=refused,
    )


def _address(host: dict[str, Any]) -> str:
    address = host["address"]["socket_address"]
    return f"{address['address']}:{address['port_value']}"


def _counts(host: dict[str, Any]) -> Counts:
    stats = {stat["name"]: int(stat.get("value", 0)) for stat in host.get("stats", [])}
    errors = stats.get("rq_error", 0)
    return Counts(stats.get("rq_success", 0) + errors, errors)


def _is_healthy(status: dict[str, Any]) -> bool:
    failures = (value for name, value in status.items() if name != "eds_health_status")
    return status.get("eds_health_status", "HEALTHY") == "HEALTHY" and not any(failures)


def _stats(text: str) -> dict[str, str]:
    pairs = (line.partition(": ") for line in text.splitlines())
    return {name: value.strip('"') for name, separator, value in pairs if separator}


def _number(stats: Mapping[str, str], pattern: str) -> int | None:
    for name, value in stats.items():
        if re.fullmatch(pattern, name) and (match := re.fullmatch(r"plan-([0-9]+)", value)):
            return int(match[1])
    return None


@dataclass(frozen=True)
class Tally:
    """The counts of one router from look to look: begin with Tally(), then keep what `after` returns.

    Sums over looks are right when hosts come and go and when the router or a cluster starts anew; what a host
    counted between the last look and its end is lost."""

    last: Reading | None = None
    owed: Mapping[str, int] = field(default_factory=dict)

    def after(self, reading: Reading, *, second_opinion: str | None) -> tuple[Tally, dict[str, Counts]]:
        """The next tally, and per revision what ended between the two looks; at the first look nothing.

        `second_opinion` is the plan's: the revision whose refusals stable was asked about; None where nobody was."""
        if self.last is None:
            return Tally(reading), {revision: Counts() for revision in reading.arms}
        restarted = reading.uptime_seconds < self.last.uptime_seconds
        before = {} if restarted else self.last.arms
        owed = {}
        counts = {}
        for revision, arm in reading.arms.items():
            known = before.get(revision, ArmReading())
            added = Counts()
            for address, host in arm.hosts.items():
                added += host.since(known.hosts.get(address, Counts()))
            final = arm.refused - known.refused if arm.refused >= known.refused else arm.refused
            if second_opinion is None:
                # The cluster's count is read some milliseconds before the hosts', and holds other hosts' answers to
                # what reached none of these: a request is never counted as two errors.
                refused = min(final, added.requests - added.errors)
                added = Counts(added.requests, added.errors + refused, refused)
            elif revision == second_opinion:
                # The canary's refusal is counted some milliseconds before stable's, perhaps in an earlier look.
                final += self.owed.get(revision, 0)
                owed[revision] = max(0, final - added.errors)
                added = Counts(added.requests, max(0, added.errors - final))
            counts[revision] = added
        return Tally(reading, owed), counts
