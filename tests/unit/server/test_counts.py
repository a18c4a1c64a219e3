"""What is added up of the requests."""

import msgspec
import numpy as np
import pytest
from tests.unit.server import sample_artifacts

from redstart.artifacts.manifest import CategoryProfile, NumberProfile, Profile
from redstart.server.counts import (
    MAX_CATEGORIES,
    OTHER,
    CategoryCells,
    NumberCells,
    Observation,
    Recorder,
    add,
    latency,
)
from redstart.sidecar.report import BUCKETS, Counts, LastError, Latency, edge

EDGES = NumberProfile([1.0, 2.0, 4.0], [5, 5], 0)


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        pytest.param(0.9, ("under", ""), id="below the first edge"),
        pytest.param(1.0, ("bin", "(1.0,2.0]"), id="the first edge is in the first bin"),
        pytest.param(2.0, ("bin", "(1.0,2.0]"), id="an edge is in the bin below it"),
        pytest.param(2.1, ("bin", "(2.0,4.0]"), id="above an edge"),
        pytest.param(4.0, ("bin", "(2.0,4.0]"), id="the last edge is in the last bin"),
        pytest.param(4.1, ("over", ""), id="above the last edge"),
        pytest.param(np.nan, ("missing", ""), id="not there"),
    ],
)
def test_a_number_falls_into_one_cell(value, cell):
    cells = NumberCells(EDGES, np.float64).count(np.array([value]))
    assert {key: count for key, count in cells.items() if count} == {cell: 1}


def test_a_float32_on_an_edge_stays_on_it():
    """float32(0.1) is above 0.1: without rounding the edge too, each such value would be in the next bin."""
    cells = NumberCells(NumberProfile([0.0, 0.1, 0.2], [1, 1], 0), np.float32).count(
        np.array([0.1, 0.2], np.float32)
    )
    assert (cells["bin", "(0.0,0.1]"], cells["bin", "(0.1,0.2]"], cells["over", ""]) == (1, 1, 0)


def test_a_number_that_training_never_had_is_unseen():
    cells = NumberCells(NumberProfile([], [], 9), np.float64).count(np.array([1.0, np.nan]))
    assert cells == {("missing", ""): 1, ("unseen", ""): 1}


def test_categories_are_counted_by_value():
    cells = CategoryCells(CategoryProfile(["L", "M"], [9, 1], 0)).count(["L", "", "L", "X", "M"])
    assert cells == {("bin", "L"): 2, ("missing", ""): 1, ("unseen", ""): 1, ("bin", "M"): 1}


def test_rare_categories_share_a_cell():
    values = [str(index) for index in range(MAX_CATEGORIES + 2)]
    cells = CategoryCells(CategoryProfile(values, [1] * len(values), 0)).count(values)
    assert cells["bin", OTHER] == 2
    assert len(cells) == MAX_CATEGORIES + 1


@pytest.mark.parametrize("bucket", [0, 1, 7, 100, BUCKETS - 1])
def test_a_latency_bucket_includes_its_upper_edge(bucket):
    assert latency([edge(bucket)]).buckets == {bucket: 1}
    assert latency([edge(bucket) * 1.001]).buckets == {bucket + 1: 1}


def test_the_fastest_and_the_slowest_have_a_bucket():
    found = latency([0.0, 1e9])
    assert found.buckets == {0: 1, BUCKETS: 1}
    assert found.seconds == 1e9


def observed(first, status, **fields):
    return Observation(first, status, 0.001, **fields)


def answered(torque, product, prediction, *, first=True):
    tensors = [np.array([[torque, 300.0]], np.float32), np.array([[product]], object)]
    return observed(
        first, 200, tensors=tensors if first else None, predictions=[prediction] if first else None
    )


@pytest.fixture(scope="module")
def manifest(classifier):
    return classifier[0]


def recorder(manifest, profile=None):
    made = Recorder()
    made.profile(manifest, profile)
    return made


def test_requests_are_counted_by_scope_and_status(manifest):
    made = recorder(manifest)
    for seen in [observed(True, 200), observed(True, 200), observed(True, 500), observed(False, 422)]:
        made.record(seen)
    counts = made.drain()
    assert counts.requests == {"first": {200: 2, 500: 1}, "other": {422: 1}}
    assert sum(counts.latency["first"].buckets.values()) == 3
    assert made.drain() == Counts()


def test_features_and_predictions_are_of_first_attempts_only(manifest):
    profile = Profile(
        10,
        {"torque": EDGES, "product_type": CategoryProfile(["L"], [10], 0)},
        CategoryProfile([0, 1], [5, 5], 0),
    )
    made = recorder(manifest, profile)
    made.record(answered(1.5, "L", 1))
    made.record(answered(np.nan, "X", 0))
    made.record(answered(9.0, "L", 1))
    made.record(answered(1.5, "L", 1, first=False))
    counts = made.drain()
    assert counts.predictions == {"0": 1, "1": 2}
    assert sorted(counts.features) == [
        ("product_type", "bin", "L", 2),
        ("product_type", "unseen", "", 1),
        ("torque", "bin", "(1.0,2.0]", 1),
        ("torque", "missing", "", 1),
        ("torque", "over", "", 1),
    ]


def test_a_regressions_predictions_are_counted_over_bins():
    manifest = msgspec.structs.replace(sample_artifacts.regression()[0])
    made = recorder(manifest, Profile(10, {}, NumberProfile([0.0, 5.0, 10.0], [5, 5], 0)))
    tensors = [np.array([[1.0, 300.0]] * 3)]
    made.record(observed(True, 200, tensors=tensors, predictions=[2.5, 7.0, 11.0]))
    assert made.drain().predictions == {"(0.0,5.0]": 1, "(5.0,10.0]": 1, "over": 1}


def test_without_a_profile_a_regressions_predictions_are_not_counted():
    """Each number would be a label of its own."""
    made = recorder(sample_artifacts.regression()[0])
    made.record(observed(True, 200, tensors=[np.array([[1.0, 300.0]])], predictions=[2.5]))
    assert made.drain().predictions == {}


def test_invalid_outputs_of_first_attempts_are_counted(manifest):
    made = recorder(manifest)
    made.record(observed(True, 500, invalid_output=True))
    made.record(observed(False, 500, invalid_output=True))
    assert made.drain().invalid_outputs == 1


def test_counts_add_up():
    one = Counts({"first": {200: 1}}, {"first": Latency({3: 1}, 0.5)}, {"1": 1}, [("a", "bin", "x", 1)], 1)
    two = Counts(
        {"first": {200: 2, 500: 1}}, {"first": Latency({3: 1, 4: 1}, 0.5)}, {"0": 1}, [("a", "bin", "x", 2)]
    )
    add(one, two)
    assert one == Counts(
        {"first": {200: 3, 500: 1}},
        {"first": Latency({3: 2, 4: 1}, 1.0)},
        {"1": 1, "0": 1},
        [("a", "bin", "x", 3)],
        1,
    )


@pytest.mark.parametrize(
    ("earlier", "later", "kept"),
    [
        pytest.param(None, LastError(422, "torque"), LastError(422, "torque"), id="the first one"),
        pytest.param(
            LastError(422, "torque"), LastError(422, "kind"), LastError(422, "kind"), id="the later refusal"
        ),
        pytest.param(
            LastError(422, "torque"), LastError(500), LastError(500), id="a failure after a refusal"
        ),
        pytest.param(
            LastError(500), LastError(422, "torque"), LastError(500), id="a failure before a refusal"
        ),
    ],
)
def test_the_last_error_is_kept(earlier, later, kept):
    counts = Counts(last_error=earlier)
    add(counts, Counts(last_error=later))
    assert counts.last_error == kept
    add(counts, Counts())
    assert counts.last_error == kept
