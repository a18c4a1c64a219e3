"""Whether clients notice that another version answers them, told from what both take and answer. Pure.

Every row that stable takes must be taken by the canary and mean the same, and its answers must be of the same kind.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from redstart.artifacts.description import label_text
from redstart.artifacts.manifest import Label
from redstart.controllers.inference_service.signature import InputSignature, InputType, Signature
from redstart.rollout.verdict import Outcome, Verdict

MAX_IGNORED_BYTES = 64 * 1024
"""Of the JSON that tells a server what to ignore: Linux takes 128 KiB in one variable, and the Deployment holds it
in an annotation too."""
NAMED = 5
"""Problems, or inputs, that a message names."""
_KINDS = {bool: "booleans", int: "whole numbers", float: "fractions", str: "text"}
LISTS = "lists (instances, features)"


@dataclass(frozen=True)
class Side:
    """A version in its role. `ignored` are inputs, with their types, that its server was told to ignore; `ours`:
    whether that is known to do so, and not the user's own, which takes what it takes."""

    version: str
    signature: Signature
    ignored: Mapping[str, InputType] = field(default_factory=dict)
    ours: bool = True

    @property
    def accepted(self) -> dict[str, InputType]:
        """All that its clients may send."""
        return {**self.ignored, **self.signature.types}


class _Problem(NamedTuple):
    what: str
    mend: str


def incompatible(stable: Side, canary: Side) -> Verdict | None:
    """A failing verdict that names the fields and the mend, or None."""
    for reason, found in (
        ("IncompatibleInputs", [*_inputs(stable, canary), *_order(stable.signature, canary.signature)]),
        ("IncompatibleOutputs", list(_outputs(stable.signature, canary.signature))),
    ):
        if found:
            return Verdict(Outcome.FAIL, reason, _message(stable, canary, found))
    return None


def changes(stable: Side, canary: Side) -> str:
    """What may be noticed all the same, in a sentence; empty where there is nothing."""
    told = []
    own = canary.signature.types
    if canary.signature.whole and (gone := [name for name in stable.accepted if name not in own]):
        now = "ignored" if canary.ours else "no input any more"
        told.append(f"{_listed(gone)} {'is' if len(gone) == 1 else 'are'} {now}")
    if stable.signature.whole and (new := [name for name in own if name not in stable.accepted]):
        told.append(f"{_listed(new)} {'is' if len(new) == 1 else 'are'} new")
    before, after = len(stable.signature.inputs), len(canary.signature.inputs)
    if before != after and stable.signature.whole and canary.signature.whole:
        told.append(f"{LISTS} of {before} values are refused, they have {after}")
    return f"{canary.version} after {stable.version}: {'; '.join(told)}" if told else ""


def ignored_inputs(stable: Side, own: Collection[str]) -> dict[str, InputType]:
    """What a version's server is told to ignore: what stable's clients may send and `own`, the version's inputs, lacks.

    Nothing where that is too long to be told: what a manifest then shows to be gone is incompatible."""
    found = {name: type_ for name, type_ in stable.accepted.items() if name not in own}
    return found if len(json.dumps(found)) <= MAX_IGNORED_BYTES else {}


def _message(stable: Side, canary: Side, problems: Sequence[_Problem]) -> str:
    shown = problems[:NAMED]
    more = f"; and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
    mends = dict.fromkeys(problem.mend for problem in shown)
    return (
        f"{canary.version} is no successor of {stable.version} for its clients: "
        f"{'; '.join(problem.what for problem in shown)}{more}. "
        f"{'; '.join(mends)}; or serve {canary.version} under another InferenceService"
    )


def _inputs(stable: Side, canary: Side) -> Iterator[_Problem]:
    known = {feature.name: feature for feature in stable.signature.inputs}
    for feature in canary.signature.inputs:
        name, before = feature.name, known.get(feature.name)
        sent = before.type if before is not None else stable.ignored.get(name)
        if sent is not None and sent != feature.type:
            yield _Problem(
                f"{name} was {sent} and is {feature.type}",
                f"Set data.expect.columns.{name}.type to {sent}",
            )
        if before is not None:
            yield from _narrowed(before, feature)
        elif not feature.nullable and stable.signature.whole:
            yield _Problem(f"{name} is new and required", _let_be_missing(name))
    if not canary.ours or not canary.signature.whole:
        return
    own = canary.signature.types
    for name in stable.accepted:
        if name not in own and name not in canary.ignored:
            yield _Problem(f"{name} is gone and is not ignored", "Keep it among the features")


def _narrowed(before: InputSignature, feature: InputSignature) -> Iterator[_Problem]:
    """Values of one input that would be refused now."""
    name = feature.name
    if before.nullable and not feature.nullable:
        yield _Problem(f"{name} could be left out and is required", _let_be_missing(name))
    if feature.closed is None or before.type != feature.type:
        return
    mend = "Set prepare.model.encode.unknown to Ignore"
    if before.closed is None:
        yield _Problem(f"{name} took any category and takes only those of training", mend)
    elif gone := sorted(before.closed - feature.closed):
        yield _Problem(f"{name} took {_listed([repr(value) for value in gone])} and does not any more", mend)


def _let_be_missing(name: str) -> str:
    return f"Leave {name} out of prepare.dataset.dropMissing (of a packed model, out of one of its rows)"


def _order(stable: Signature, canary: Signature) -> Iterator[_Problem]:
    """Lists of as many values as before would be read as other inputs. Those of another length are refused, loudly."""
    before, after = list(stable.types), list(canary.types)
    if before == after or len(before) != len(after) or not (stable.whole and canary.whole):
        return
    at = next(place for place, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1])
    what = f"value {at + 1} of {LISTS} was {before[at]} and is {after[at]}"
    if set(before) == set(after):
        yield _Problem(
            what,
            "Train with the output.uri that holds the version before, whose order is then kept (give a packed model's "
            "rows that order)",
        )
    else:
        gone = [name for name in before if name not in canary.types]
        yield _Problem(what, f"Keep {_listed(gone)} among the features, with new inputs beside")


def _outputs(stable: Signature, canary: Signature) -> Iterator[_Problem]:
    if not stable.task or not canary.task:
        return
    if stable.task != canary.task:
        yield _Problem(f"the task was {stable.task} and is {canary.task}", "Keep spec.task")
        return
    if stable.classes is not None and canary.classes is not None:
        yield from _classes(stable, canary, stable.classes, canary.classes)
    if stable.probabilities and not canary.probabilities:
        yield _Problem("answers had probabilities and have none", "Choose an estimator with predict_proba")


def _classes(
    stable: Signature, canary: Signature, before: Sequence[Label], after: Sequence[Label]
) -> Iterator[_Problem]:
    if _kinds(before) != _kinds(after):
        yield _Problem(
            f"labels were {_kinds(before)} ({_labels(before)}) and are {_kinds(after)} ({_labels(after)})",
            "Write the target column as before",
        )
        return
    gone = [label for label in before if label not in after]
    new = [label for label in after if label not in before]
    mend = "Train on rows of the same classes"
    if gone and canary.whole:
        yield _Problem(f"class {_labels(gone)} is gone from the answers", mend)
    if new and stable.whole:
        yield _Problem(f"class {_labels(new)} is new in the answers", mend)
    both = stable.probabilities and canary.probabilities
    if both and not gone and not new and list(before) != list(after):
        yield _Problem(
            f"probabilities were in the order {_labels(before)} and are in the order {_labels(after)}",
            "Give the classes in the order of before",
        )


def _kinds(labels: Sequence[Label]) -> str:
    """The JSON types of labels: 0, 0.0, "0" and false are four labels to a client."""
    return " and ".join(sorted({_KINDS[type(label)] for label in labels}))


def _labels(labels: Sequence[Label]) -> str:
    return _listed([repr(label) if isinstance(label, str) else label_text(label) for label in labels])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
