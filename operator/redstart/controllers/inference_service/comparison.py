"""What a canary's and stable's clients may notice, from what a look has found of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from redstart.controllers.inference_service import serving
from redstart.controllers.inference_service.compatibility import Side, changes, ignored_inputs, incompatible
from redstart.controllers.inference_service.manifests import Unread
from redstart.controllers.inference_service.observe import Observed
from redstart.controllers.inference_service.record import Record, Role
from redstart.controllers.inference_service.signature import InputType, Signature, of_spec
from redstart.rollout.verdict import Verdict


@dataclass(frozen=True)
class Comparison:
    """Of a canary that has had no weight yet. `waits`: why it was not compared yet, empty where a pod only has to
    start, None where it was."""

    verdict: Verdict | None = None
    waits: str | None = None
    changes: str = ""


def comparison(observed: Observed, record: Record) -> Comparison:
    """Compare by both manifests, or, where one cannot be had, by both specs."""
    state, canary = record.rollout, record.canary
    if state is None or canary is None or state.first_weight_at is not None:
        return Comparison()
    readings = [observed.manifests.get(role.revision) for role in (record.stable, canary)]
    for role, reading in zip((record.stable, canary), readings, strict=True):
        if isinstance(reading, Unread) and not reading.lasting:
            return Comparison(waits=f"what {role.version} takes cannot be read: {reading.why}")
    if readings[1] is None:
        return Comparison(waits="")
    sides = [
        _side(observed, role, reading)
        for role, reading in zip((record.stable, canary), readings, strict=True)
    ]
    if not all(isinstance(reading, Signature) for reading in readings):
        sides = [_side(observed, role, None) for role in (record.stable, canary)]
    stable_side, canary_side = sides
    if stable_side is None or canary_side is None:
        return Comparison()
    return Comparison(incompatible(stable_side, canary_side), changes=changes(stable_side, canary_side))


def ignored_by(observed: Observed, record: Record, role: Role) -> Mapping[str, InputType] | None:
    """What the server of a revision that is made now has to ignore; None while that cannot be told.

    `record` is the one that asks for the revision; `observed` has the one before."""
    before = observed.record
    if before is None or not before.established or before.stable.revision == role.revision:
        return {}
    reading = observed.manifests.get(before.stable.revision)
    if record.rollout is not None and (
        before.rollout is None or (isinstance(reading, Unread) and not reading.lasting)
    ):
        return None
    stable, own = _side(observed, before.stable, reading), observed.version_specs.get(role.version)
    if stable is None:
        return {}
    return ignored_inputs(stable, {feature.name for feature in own.inputs} if own else ())


def _side(observed: Observed, role: Role, reading: Signature | Unread | None) -> Side | None:
    """By its manifest where that was read, else by its spec; None where that tells nothing."""
    spec = observed.version_specs.get(role.version)
    found = reading if isinstance(reading, Signature) else of_spec(spec) if spec is not None else None
    if found is None:
        return None
    template = serving.template_of(observed.children, role.revision)
    if template is None:
        return Side(role.version, found)
    return Side(role.version, found, serving.ignored_inputs(template), serving.reports_itself(template))
