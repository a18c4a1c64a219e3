"""What the sidecar shows: a compact snapshot for the operator, and Prometheus text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from redstart.sidecar.counters import Counters
from redstart.sidecar.report import BUCKETS, GROWTH, SMALLEST, CellKind, Latency, Scope, edge

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_STRIDE = 8
"""Prometheus gets every eighth edge, a factor of 1.5: 280 series for each histogram would be too many."""

_SCOPES: tuple[Scope, Scope] = ("first", "other")


@dataclass(frozen=True)
class Identity:
    """Which revision this pod belongs to."""

    model: str
    version: str
    revision: str


def snapshot(counters: Counters, identity: Identity, now: float, *, features: bool) -> dict[str, Any]:
    """The counters as docs/internals.md lays them down; `now` on the monotonic clock."""
    with counters.lock:
        state, first, other = counters.state, counters.requests["first"], counters.requests["other"]
        age = None if counters.received is None else round(now - counters.received, 3)
        document: dict[str, Any] = {
            "epoch": counters.epoch,
            "model": identity.model,
            "version": identity.version,
            "revision": identity.revision,
            "loadedDigest": state.digest or None,
            "ready": counters.ready(now),
            "message": state.message or None,
            "reference": None
            if state.reference is None
            else {
                "rows": state.reference.rows,
                "mismatched": state.reference.mismatched,
                "first": state.reference.first,
            },
            "server": {"epoch": counters.server_epoch or None, "starts": counters.server_starts, "age": age},
            "first": {**_requests(first), "invalidOutputs": counters.invalid_outputs},
            "all": _requests(_merged(first, other)),
            "lost": counters.lost,
            "latency": {
                "growth": GROWTH,
                "smallest": SMALLEST,
                "buckets": {
                    str(bucket): n for bucket, n in sorted(counters.latency["first"].buckets.items())
                },
            },
            "predictions": dict(counters.predictions),
            "ignoredInputs": dict(counters.ignored),
            "lastError": None
            if counters.last_error is None
            else {
                "status": counters.last_error.status,
                "field": counters.last_error.field or None,
                "error": counters.last_error.error or None,
            },
        }
        if features:
            document["features"] = {name: _cells(cells) for name, cells in counters.features.items()}
        return document


def _merged(first: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    return {status: first.get(status, 0) + other.get(status, 0) for status in first.keys() | other.keys()}


def _requests(statuses: Mapping[int, int]) -> dict[str, Any]:
    return {
        "requests": sum(statuses.values()),
        "errors": sum(count for status, count in statuses.items() if status >= 500),
        "status": {str(status): count for status, count in sorted(statuses.items())},
    }


def _cells(cells: Mapping[tuple[CellKind, str], int]) -> dict[str, Any]:
    found: dict[str, Any] = {"bins": {text: count for (kind, text), count in cells.items() if kind == "bin"}}
    return found | {kind: count for (kind, _), count in cells.items() if kind != "bin"}


def metrics(counters: Counters, identity: Identity, now: float) -> str:
    """Prometheus text exposition, https://prometheus.io/docs/instrumenting/exposition_formats/."""
    with counters.lock:
        return "\n".join([*_lines(counters, identity, now), ""])


def _lines(counters: Counters, identity: Identity, now: float) -> Iterator[str]:
    state = counters.state
    yield from _family("info", "gauge", "The revision that this pod serves, and the artifact that it loaded.")
    labels = {"model": identity.model, "version": identity.version, "revision": identity.revision}
    yield _sample("info", labels | {"digest": state.digest}, 1)
    yield from _family("ready", "gauge", "Whether the model may be asked.")
    yield _sample("ready", {}, int(counters.ready(now)))
    if state.reference is not None:
        yield from _family(
            "reference_rows", "gauge", "Reference rows asked when the model was loaded, by result."
        )
        wrong = state.reference.mismatched
        yield _sample("reference_rows", {"result": "matched"}, state.reference.rows - wrong)
        yield _sample("reference_rows", {"result": "mismatched"}, wrong)
    yield from _family("requests_total", "counter", "Requests for predictions, by scope and status.")
    for scope in _SCOPES:
        for status, count in sorted(counters.requests[scope].items()):
            yield _sample("requests_total", {"scope": scope, "status": str(status)}, count)
    yield from _family("request_duration_seconds", "histogram", "Time from a request's head to its answer.")
    for scope in _SCOPES:
        yield from _histogram(scope, counters.latency[scope])
    yield from _family(
        "invalid_outputs_total", "counter", "First attempts answered 500 for a non-finite output."
    )
    yield _sample("invalid_outputs_total", {}, counters.invalid_outputs)
    yield from _family("predictions_total", "counter", "Rows of first attempts, by prediction or its bin.")
    for text, count in sorted(counters.predictions.items()):
        yield _sample("predictions_total", {"prediction": text}, count)
    yield from _family(
        "feature_rows_total", "counter", "Rows of first attempts, by feature and cell of its profile."
    )
    for name, cells in sorted(counters.features.items()):
        for (kind, text), count in sorted(cells.items()):
            yield _sample("feature_rows_total", {"feature": name, "cell": kind, "bin": text}, count)
    if counters.ignored:
        yield from _family(
            "ignored_input_rows_total", "counter", "Rows that held an input which the model does not use."
        )
        for name, count in sorted(counters.ignored.items()):
            yield _sample("ignored_input_rows_total", {"input": name}, count)
    yield from _family("server_starts_total", "counter", "Server processes that reported to this sidecar.")
    yield _sample("server_starts_total", {}, counters.server_starts)
    yield from _family("reports_lost_total", "counter", "Reports of the server that never arrived.")
    yield _sample("reports_lost_total", {}, counters.lost)
    if counters.received is not None:
        yield from _family("report_age_seconds", "gauge", "Time since the server's last report.")
        yield _sample("report_age_seconds", {}, round(now - counters.received, 3))


def _histogram(scope: Scope, latency: Latency) -> Iterator[str]:
    total = sum(latency.buckets.values())
    if not total:
        return
    for last in range(_STRIDE - 1, BUCKETS, _STRIDE):
        count = sum(n for bucket, n in latency.buckets.items() if bucket <= last)
        yield _sample("request_duration_seconds_bucket", {"scope": scope, "le": f"{edge(last):.6g}"}, count)
    yield _sample("request_duration_seconds_bucket", {"scope": scope, "le": "+Inf"}, total)
    yield _sample("request_duration_seconds_sum", {"scope": scope}, latency.seconds)
    yield _sample("request_duration_seconds_count", {"scope": scope}, total)


def _family(name: str, kind: str, text: str) -> Iterable[str]:
    return f"# HELP redstart_serving_{name} {text}", f"# TYPE redstart_serving_{name} {kind}"


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"redstart_serving_{name}{{{inner}}} {value}" if inner else f"redstart_serving_{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
