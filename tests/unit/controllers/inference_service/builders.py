"""Objects for the tests of this folder, each a sensible one until told otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from redstart.api.v1alpha1 import InferenceServiceSpec
from redstart.api.v1alpha1.common import Artifact
from redstart.api.v1alpha1.inference_service import InferenceServiceStatus
from redstart.controllers.inference_service.observe import Observed, RevisionFacts
from redstart.controllers.inference_service.record import Decision, Record, Role, RolloutState
from redstart.controllers.inference_service.revision import Revision, Target, Version, revision_of
from redstart.controllers.inference_service.scrape import PodAddress, RouterReport
from redstart.controllers.inference_service.situation import Situation
from redstart.controllers.inference_service.transitions import Facts
from redstart.controllers.storage import Problem
from redstart.rollout.e_process import Counts
from redstart.routing.counters import Reading

IMAGE = "redstart-runtime:1"
START = "2026-01-01T00:00:00Z"


def artifact(number: int) -> Artifact:
    digest = f"{number:x}" * 64
    return Artifact(uri=f"pvc://models/m/artifacts/{digest}", digest=f"sha256:{digest[:64]}", format="ONNX")


def version(number: int, state: str = "Ready", message: str = "verified") -> Version:
    return Version(f"m-v{number}", number, artifact(number), state, message)  # type: ignore[arg-type]


def spec(**fields: Any) -> InferenceServiceSpec:
    return InferenceServiceSpec.model_validate({"model": {"name": "m"}, **fields})


def revision(number: int, service: InferenceServiceSpec | None = None, image: str = IMAGE) -> Revision:
    return revision_of(version(number), service or spec(), image)


def role(number: int) -> Role:
    found = revision(number)
    return Role(
        revision=found.name, version=f"m-v{number}", number=number, digest=found.version.artifact.digest
    )


def steady(number: int = 1) -> Record:
    return Record(number=5, stable=role(number), established=True)


def rolling(weight: int = 5, step: int = 0, **fields: Any) -> Record:
    """v1 is stable, v2 the canary."""
    state = RolloutState(
        id="rollout-1",
        other=role(2),
        policy=spec().rollout,
        started_at=START,
        since=START,
        weight=weight,
        step=step,
        first_weight_at=START if step >= 0 else None,
    )
    return steady(1).model_copy(update={"rollout": state.model_copy(update=fields)})


def rolled_back() -> Record:
    decision = Decision(result="RolledBack", reason="ErrorRate", message="worse", at=START)
    return rolling(weight=0, step=0, decision=decision)


def to(number: int) -> Target:
    return Target(revision(number))


_FACTS = Facts(
    ready={role(1).revision: 1, role(2).revision: 1},
    replicas={role(1).revision: 1, role(2).revision: 1},
    weights=(5,),
    metrics_available=True,
    elapsed=0.0,
    step_elapsed=0.0,
    samples=0,
    test=None,
    structural=None,
    uncompared=None,
    changes="",
    evidence=[],
    last_error=None,
    recorded=False,
    requested=False,
    alone_seconds=0.0,
    alone=Counts(0, 0),
    quiet_seconds=0.0,
)


def facts(**fields: Any) -> Facts:
    return replace(_FACTS, **fields)


def pods(ready: int, problem: Problem | None = None, **fields: Any) -> RevisionFacts:
    """A revision with so many ready pods."""
    facts = RevisionFacts(
        deployment=None,
        pods=(),
        replicas=ready,
        ready=ready,
        overdue=False,
        progress_deadline_exceeded=False,
        loaded_digest=None,
        last_error=None,
        problem=problem,
    )
    return replace(facts, **fields)


def observed(
    service: InferenceServiceSpec | None = None, status: dict[str, Any] | None = None, **fields: Any
) -> Observed:
    """A service whose router finds the pods of every revision."""
    found = service or spec()
    reading = Reading(100, 5, 5, {}, frozenset(role(number).revision for number in range(1, 10)))
    seen = Observed(
        service={
            "metadata": {"name": "s", "namespace": "n", "generation": 3},
            "spec": found.to_dict(),
            "status": status or {},
        },
        spec=found,
        status=InferenceServiceStatus.model_validate(status or {}),
        versions={},
        version_specs={},
        record=None,
        config_map=None,
        revisions={role(1).revision: pods(1), role(2).revision: pods(1)},
        routers=(RouterReport(PodAddress("router-0", "uid", "10.0.0.1"), reading),),
        router_pods=(),
        ready_routers=frozenset({"router-0"}),
        router_problem=None,
        claims={},
        children=(),
        manifests={},
    )
    return replace(seen, **fields)


_SITUATION = Situation(
    observed=observed(),
    record=steady(1),
    target=to(1),
    decision=None,
    analysis=None,
    evidence=[],
    test_state=None,
    replicas={role(1).revision: 1, role(2).revision: 1},
    weights=(),
    refused=None,
    now=1_767_225_700.0,
)


def situation(**fields: Any) -> Situation:
    """v1 serves alone on one pod."""
    return replace(_SITUATION, **fields)


def entry(result: str, number: int, reason: str = "ErrorRate") -> dict[str, Any]:
    return {
        "id": f"r-{number}",
        "from": "m-v1",
        "to": f"m-v{number}",
        "revision": role(number).revision,
        "result": result,
        "reason": reason,
        "message": "why",
        "startedAt": START,
        "decidedAt": START,
    }
