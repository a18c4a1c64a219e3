"""Reference rows: which differences are one."""

import msgspec
import pytest

from redstart.artifacts.manifest import Answer, Threshold
from redstart.server import reference
from redstart.server.inference import Answers
from redstart.server.reference import check, compare


def test_an_artifact_answers_its_own_rows(service):
    artifact = service.artifact
    found = check(artifact.manifest, service.model, service.rows, artifact.reference)
    assert (found.rows, found.mismatched, found.first) == (32, 0, None)


def test_a_wrong_answer_is_told_with_its_row(service):
    wrong = list(service.artifact.reference.answers)
    wrong[5] = Answer(1 - wrong[5].prediction, [0.25, 0.75])
    rows = msgspec.structs.replace(service.artifact.reference, answers=wrong)
    found = check(service.artifact.manifest, service.model, service.rows, rows)
    assert found.mismatched == 1
    assert found.first.startswith("reference row 5: expected probabilities [0.25, 0.75], got [")
    assert '"torque":' in found.first


def test_a_model_that_fails_mismatches_every_row(service):
    class Failing:
        def predict(self, tensors):
            raise RuntimeError("no kernel")

    found = check(service.artifact.manifest, Failing(), service.rows, service.artifact.reference)
    assert (found.mismatched, found.first) == (32, "the model fails on the reference rows: no kernel")


def test_rows_that_the_server_refuses_mismatch(service):
    rows = service.artifact.reference.rows[:1]
    refused = msgspec.structs.replace(
        service.artifact.reference,
        rows=[{**rows[0], "torque": "x"}],
        answers=service.artifact.reference.answers[:1],
    )
    found = check(service.artifact.manifest, service.model, service.rows, refused)
    assert found.mismatched == 1
    assert (
        "refuses the reference rows: rows[0].torque: expected a number or null, got the text 'x'"
        in found.first
    )


@pytest.mark.parametrize(
    ("wanted", "got", "equal"),
    [
        pytest.param(Answer(1, [0.3, 0.7]), (1, [0.3, 0.7]), True, id="the same"),
        pytest.param(
            Answer(1, [0.3, 0.7]), (1, [0.30003, 0.69997]), True, id="probabilities within the tolerance"
        ),
        pytest.param(Answer(1, [0.3, 0.7]), (1, [0.301, 0.699]), False, id="probabilities beyond it"),
        pytest.param(Answer(1, [0.3, 0.7]), (0, [0.3, 0.7]), False, id="another label with a clear margin"),
        pytest.param(
            Answer(1, [0.49999, 0.50001]), (0, [0.50001, 0.49999]), True, id="another label without one"
        ),
        pytest.param(Answer(1), (0, None), False, id="another label, no probabilities"),
        pytest.param(Answer(1), (True, None), False, id="an equal label of another type"),
        pytest.param(Answer(1, [0.3, 0.7]), (1, None), False, id="probabilities left out"),
    ],
)
def test_when_a_classification_is_the_same(wanted, got, equal, classifier):
    found = Answers([got[0]], None if got[1] is None else [got[1]])
    assert (compare(classifier[0], wanted, found, 0) is None) == equal


@pytest.mark.parametrize(
    ("probability", "equal"),
    [pytest.param(0.2, True, id="on the threshold"), pytest.param(0.5, False, id="far from it")],
)
def test_with_a_threshold_the_margin_is_to_it(probability, equal, classifier):
    manifest = msgspec.structs.replace(classifier[0], threshold=Threshold(1, 0.2))
    probabilities = [1 - probability, probability]
    assert (compare(manifest, Answer(1, probabilities), Answers([0], [probabilities]), 0) is None) == equal


@pytest.mark.parametrize(
    ("wanted", "got", "equal"),
    [
        pytest.param(0.0, 0.9e-5, True, id="near zero the tolerance is absolute"),
        pytest.param(0.0, 1.2e-5, False, id="beyond it"),
        pytest.param(1e6, 1e6 + 99, True, id="far from zero it is relative"),
        pytest.param(1e6, 1e6 + 102, False, id="beyond that"),
    ],
)
def test_when_numbers_are_near(wanted, got, equal):
    assert reference.near(got, wanted) == equal
