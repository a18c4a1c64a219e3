"""What clients would notice of another version, one sentence for each kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from redstart.artifacts.manifest import Label
from redstart.controllers.inference_service.compatibility import (
    MAX_IGNORED_BYTES,
    Side,
    changes,
    ignored_inputs,
    incompatible,
)
from redstart.controllers.inference_service.signature import InputSignature, Signature


def number(name: str, *, required: bool = False) -> InputSignature:
    return InputSignature(name, "Number", not required)


def category(name: str, *closed: str) -> InputSignature:
    return InputSignature(name, "Category", True, frozenset(closed) if closed else None)


A, B, C = (number(name) for name in "abc")


def classifier(*inputs: InputSignature, classes: tuple[Label, ...] = (0, 1), **fields: Any) -> Signature:
    made = Signature(inputs or (A, B), "Classification", classes, probabilities=True)
    return replace(made, **fields)


def regression(*inputs: InputSignature) -> Signature:
    return Signature(inputs or (A, B), "Regression")


def stable(signature: Signature, **ignored: str) -> Side:
    return Side("m-v1", signature, ignored)


def canary(signature: Signature, ignored: Mapping[str, str] | None = None) -> Side:
    return Side("m-v2", signature, {} if ignored is None else ignored)


IGNORING_C = {"c": "Number"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(stable(classifier()), canary(classifier()), id="the same"),
        pytest.param(
            stable(classifier(A, B, C)),
            canary(classifier(A, B), IGNORING_C),
            id="an input is gone and ignored",
        ),
        pytest.param(
            stable(classifier(A, B), c="Number"),
            canary(classifier(A, B), IGNORING_C),
            id="an input that was gone long ago stays ignored",
        ),
        pytest.param(
            stable(classifier(A, B), c="Number"),
            canary(classifier(A, B, C)),
            id="an ignored input comes back",
        ),
        pytest.param(stable(classifier(A, B)), canary(classifier(A, B, C)), id="a new input may be left out"),
        pytest.param(
            stable(classifier(number("a", required=True))),
            canary(classifier(A)),
            id="a required input may be left out",
        ),
        pytest.param(
            stable(classifier(category("a", "L", "M"))),
            canary(classifier(category("a", "L", "M", "H"))),
            id="a closed category takes more",
        ),
        pytest.param(
            stable(classifier(category("a", "L", "M"))),
            canary(classifier(category("a"))),
            id="it takes any now",
        ),
        pytest.param(
            stable(classifier(A, B)),
            canary(classifier(C, A, B)),
            id="lists of another length are refused, not misread",
        ),
        pytest.param(
            stable(classifier(probabilities=False)),
            canary(classifier()),
            id="probabilities come beside the prediction",
        ),
        pytest.param(
            stable(classifier(probabilities=False)),
            canary(classifier(classes=(1, 0), probabilities=False)),
            id="without probabilities nobody sees the order of the classes",
        ),
        pytest.param(stable(regression()), canary(regression()), id="another regression"),
        pytest.param(
            stable(classifier(A, B, C)),
            Side("m-v2", classifier(A, B), ours=False),
            id="a server of the user's own takes what it takes",
        ),
        pytest.param(
            stable(replace(classifier(), whole=False)),
            canary(classifier(A, B, number("new", required=True))),
            id="what is told in part may have it among the rest",
        ),
        pytest.param(
            stable(Signature((A,), "")), canary(regression(A)), id="outputs of which nothing is told"
        ),
    ],
)
def test_compatible(before: Side, after: Side) -> None:
    assert incompatible(before, after) is None


INPUTS, OUTPUTS = "IncompatibleInputs", "IncompatibleOutputs"


@pytest.mark.parametrize(
    ("before", "after", "reason", "what", "mend"),
    [
        pytest.param(
            stable(classifier(A, B)),
            canary(classifier(B, A)),
            INPUTS,
            "value 1 of lists (instances, features) was a and is b",
            "Train with the output.uri that holds the version before",
            id="the same inputs in another order",
        ),
        pytest.param(
            stable(classifier(A, B)),
            canary(classifier(A, C), {"b": "Number"}),
            INPUTS,
            "value 2 of lists (instances, features) was b and is c",
            "Keep b among the features",
            id="another input in the place of one that is gone",
        ),
        pytest.param(
            stable(classifier(A, B)),
            canary(classifier(A, category("b"))),
            INPUTS,
            "b was Number and is Category",
            "Set data.expect.columns.b.type to Number",
            id="another type",
        ),
        pytest.param(
            stable(classifier(A, B), c="Number"),
            canary(classifier(A, B, category("c"))),
            INPUTS,
            "c was Number and is Category",
            "Set data.expect.columns.c.type to Number",
            id="an ignored input comes back with another type",
        ),
        pytest.param(
            stable(classifier(A, B)),
            canary(classifier(A, B, number("c", required=True))),
            INPUTS,
            "c is new and required",
            "prepare.dataset.dropMissing",
            id="a new input is required",
        ),
        pytest.param(
            stable(classifier(A, B)),
            canary(classifier(A, number("b", required=True))),
            INPUTS,
            "b could be left out and is required",
            "Leave b out of prepare.dataset.dropMissing (of a packed model, out of one of its rows)",
            id="an input is required",
        ),
        pytest.param(
            stable(classifier(A, B, C)),
            canary(classifier(A, B)),
            INPUTS,
            "c is gone and is not ignored",
            "Keep it among the features",
            id="an input is gone and the server was not told",
        ),
        pytest.param(
            stable(classifier(category("a", "L", "M", "H"))),
            canary(classifier(category("a", "L"))),
            INPUTS,
            "a took 'H', 'M' and does not any more",
            "prepare.model.encode.unknown to Ignore",
            id="a closed category takes less",
        ),
        pytest.param(
            stable(classifier(category("a"))),
            canary(classifier(category("a", "L"))),
            INPUTS,
            "a took any category and takes only those of training",
            "prepare.model.encode.unknown to Ignore",
            id="a category is closed",
        ),
        pytest.param(
            stable(regression()),
            canary(classifier()),
            OUTPUTS,
            "the task was Regression and is Classification",
            "Keep spec.task",
            id="another task",
        ),
        pytest.param(
            stable(classifier(classes=(0, 1))),
            canary(classifier(classes=(0.0, 1.0))),
            OUTPUTS,
            "labels were whole numbers (0, 1) and are fractions (0.0, 1.0)",
            "Write the target column as before",
            id="whole numbers become fractions",
        ),
        pytest.param(
            stable(classifier(classes=(0, 1))),
            canary(classifier(classes=("0", "1"))),
            OUTPUTS,
            "labels were whole numbers (0, 1) and are text ('0', '1')",
            "Write the target column as before",
            id="whole numbers become text",
        ),
        pytest.param(
            stable(classifier(classes=(False, True))),
            canary(classifier(classes=(0, 1))),
            OUTPUTS,
            "labels were booleans (false, true) and are whole numbers (0, 1)",
            "Write the target column as before",
            id="booleans become whole numbers, which Python calls equal",
        ),
        pytest.param(
            stable(classifier(classes=("no", "yes"))),
            canary(classifier(classes=("maybe", "no", "yes"))),
            OUTPUTS,
            "class 'maybe' is new in the answers",
            "Train on rows of the same classes",
            id="a new class",
        ),
        pytest.param(
            stable(classifier(classes=(0, 1, 2))),
            canary(classifier(classes=(0, 1))),
            OUTPUTS,
            "class 2 is gone from the answers",
            "Train on rows of the same classes",
            id="a class is gone",
        ),
        pytest.param(
            stable(classifier(classes=(0, 1))),
            canary(classifier(classes=(1, 0))),
            OUTPUTS,
            "probabilities were in the order 0, 1 and are in the order 1, 0",
            "Give the classes in the order of before",
            id="probabilities in another order",
        ),
        pytest.param(
            stable(classifier()),
            canary(classifier(probabilities=False)),
            OUTPUTS,
            "answers had probabilities and have none",
            "predict_proba",
            id="no probabilities",
        ),
    ],
)
def test_incompatible(before: Side, after: Side, reason: str, what: str, mend: str) -> None:
    found = incompatible(before, after)
    assert found is not None
    assert found.reason == reason
    assert f"m-v2 is no successor of m-v1 for its clients: {what}" in found.message
    assert mend in found.message
    assert found.message.endswith("or serve m-v2 under another InferenceService")


def test_a_message_names_some_of_many_problems() -> None:
    before = stable(classifier(*(number(f"x{place}") for place in range(1000))))
    after = canary(classifier(*(category(f"x{place}") for place in range(1000))))
    found = incompatible(before, after)
    assert found is not None
    assert "x4 was Number and is Category; and 995 more" in found.message
    assert len(found.message) < 1000


def test_more_inputs_than_a_modelversion_lists_are_judged() -> None:
    names = [f"x{place}" for place in range(1000)]
    before = stable(classifier(*map(number, names)))
    names[700], names[701] = names[701], names[700]
    found = incompatible(before, canary(classifier(*map(number, names))))
    assert found is not None
    assert "value 701 of lists (instances, features) was x700 and is x701" in found.message


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        pytest.param(stable(classifier()), canary(classifier()), "", id="nothing"),
        pytest.param(
            stable(classifier(A, B, C)),
            canary(classifier(A, B), IGNORING_C),
            "m-v2 after m-v1: c is ignored; lists (instances, features) of 3 values are refused, they have 2",
            id="an input is gone",
        ),
        pytest.param(
            stable(classifier(A)),
            canary(classifier(A, B, C)),
            "m-v2 after m-v1: b, c are new; lists (instances, features) of 1 values are refused, they have 3",
            id="inputs are new",
        ),
        pytest.param(
            stable(classifier(A, B), c="Number"),
            canary(classifier(A, B), IGNORING_C),
            "m-v2 after m-v1: c is ignored",
            id="one was gone before",
        ),
        pytest.param(
            stable(classifier(A, B)),
            Side("m-v2", classifier(A), ours=False),
            "m-v2 after m-v1: b is no input any more; lists (instances, features) of 2 values are refused, they have 1",
            id="a server of the user's own",
        ),
    ],
)
def test_what_is_told_all_the_same(before: Side, after: Side, told: str) -> None:
    assert changes(before, after) == told


@pytest.mark.parametrize(
    ("before", "own", "ignored"),
    [
        pytest.param(stable(classifier(A, B)), ["a", "b", "c"], {}, id="nothing is gone"),
        pytest.param(stable(classifier(A, category("b"))), ["a"], {"b": "Category"}, id="one is gone"),
        pytest.param(stable(classifier(A), z="Number"), ["a"], {"z": "Number"}, id="what stable ignores"),
        pytest.param(stable(classifier(A), z="Number"), ["a", "z"], {}, id="which came back"),
        pytest.param(
            stable(classifier(A, B)), [], {"a": "Number", "b": "Number"}, id="inputs that nobody told"
        ),
        pytest.param(
            stable(
                classifier(*(number("x" * 100 + str(place)) for place in range(MAX_IGNORED_BYTES // 100)))
            ),
            [],
            {},
            id="more than a server can be told",
        ),
    ],
)
def test_what_a_server_is_told_to_ignore(before: Side, own: list[str], ignored: dict[str, str]) -> None:
    assert ignored_inputs(before, own) == ignored
