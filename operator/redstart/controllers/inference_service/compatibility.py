"""Whether a canary accepts every row that stable accepts, told from the versions' inputs before any traffic."""

from __future__ import annotations

from collections.abc import Sequence

from redstart.api.v1alpha1.model_version import Input
from redstart.rollout.verdict import Outcome, Verdict


def incompatible_inputs(stable: Sequence[Input], canary: Sequence[Input]) -> Verdict | None:
    """A failing verdict that names the inputs, or None.

    A version that says nothing of its inputs (registered by hand) cannot be judged here; its errors will be."""
    if not stable or not canary:
        return None
    known = {field.name: field for field in stable}
    problems = []
    for field in canary:
        before = known.get(field.name)
        if before is None:
            if not field.nullable:
                problems.append(f"{field.name} is new and required")
        elif before.type != field.type:
            problems.append(f"{field.name} was {before.type} and is {field.type}")
        elif before.nullable and not field.nullable:
            problems.append(f"{field.name} could be left out and is required")
    if not problems:
        return None
    return Verdict(
        Outcome.FAIL,
        "IncompatibleInputs",
        f"rows that stable accepts would be refused: {'; '.join(problems)}. Make new inputs nullable (impute them) "
        "or serve the version under another InferenceService",
    )
