"""Work on a body is bounded by its length, and no body is more than a refusal."""

import json
import sys

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.server import sample_artifacts
from tests.unit.server.sample_artifacts import ROW

from redstart.server.rows import InputError


def tensor(**changes):
    made = {"name": "torque", "shape": [1], "datatype": "FP64", "data": [1.0], **changes}
    return json.dumps({"inputs": [made]})


def nested(depth, inner="1"):
    return "[" * depth + inner + "]" * depth


# Each gives a body whose length grows with n.
GROWING = {
    "values and one that is nested deep": lambda n: tensor(shape=[n], data=0).replace(
        '"data": 0', f'"data": [{"0," * n}{nested(min(n // 8, 900))}]'
    ),
    "empty lists": lambda n: tensor(shape=[n], data=[[]] * n),
    "lists in lists": lambda n: tensor(shape=[n], data=[[[[1]]]] * n),
    "a shape of many sizes": lambda n: tensor(shape=[9007199254740991] * n),
    "a size of many digits": lambda n: tensor().replace("[1]", f"[{'9' * n}]"),
    "a number of many digits": lambda n: tensor().replace("1.0", "9" * n),
    "a fraction of many digits": lambda n: tensor().replace("1.0", "1." + "9" * n),
    "an exponent of many digits": lambda n: tensor().replace("1.0", "1e" + "9" * n),
    "many tensors": lambda n: json.dumps(
        {"inputs": [{"name": f"x{i}", "shape": [1], "datatype": "FP64", "data": [1]} for i in range(n)]}
    ),
    "the same tensor many times": lambda n: json.dumps({"inputs": [json.loads(tensor())["inputs"][0]] * n}),
    "many outputs": lambda n: tensor()[:-1] + ',"outputs":[' + ",".join(['{"name":"prediction"}'] * n) + "]}",
    "a long name": lambda n: tensor(name="x" * n),
    "a long name of places": lambda n: json.dumps({"rows": [{" - at `$.rows[" * n: 1}]}),
    "a long name of findings": lambda n: json.dumps({"rows": [{"got `" * n: 1}]}),
    "a place of many digits": lambda n: json.dumps({"x - at `$.rows[" + "9" * n + "].torque": 1}),
    "a long datatype": lambda n: tensor(datatype="x" * n),
    "many parameters": lambda n: json.dumps({"parameters": {str(i): i for i in range(n)}, "inputs": []}),
    "many rows": lambda n: json.dumps({"rows": [ROW] * n}),
    "many values of a row": lambda n: json.dumps({"instances": [[1] * n]}),
    "the same field many times": lambda n: '{"rows":[{' + ",".join(['"torque":1'] * n) + "}]}",
    "many keys": lambda n: json.dumps({str(i): i for i in range(n)}),
    "brackets": nested,
    "NaN": lambda n: '{"rows": [{"torque": ' + "NaN," * n,
    "a category of many letters": lambda n: json.dumps({"rows": [ROW | {"product_type": "L" * n}]}),
    "instances of many values": lambda n: json.dumps({"instances": [[1, 2, "L"]] * n}),
    "pandas split": lambda n: json.dumps({"dataframe_split": {"columns": ["a"] * n, "data": [[1] * n]}}),
    "escapes": lambda n: '{"rows": [{"' + "\\u0041" * n + '": 1}]}',
}
ASKED = ("predict", "infer", "predict_v1")


class Steps:
    """Counts the interpreter's instructions."""

    def __init__(self):
        self.count = 0

    def __call__(self, frame, event, _):
        frame.f_trace_opcodes = True
        self.count += 1
        return self


def ask(service, path, body, length=None):
    """The status, and the error; a fault of the server or the model fails the test."""
    try:
        json.loads(getattr(service, path)(body, length).body)
    except InputError as error:
        return error.status, error
    return 200, None


def steps(service, path, body):
    counted, before = Steps(), sys.gettrace()
    sys.settrace(counted)
    try:
        ask(service, path, body)
    finally:
        sys.settrace(before)
    return counted.count


@pytest.fixture(scope="module")
def closed():
    values = [f"value {index}" for index in range(5000)]
    manifest, files = sample_artifacts.classifier(closed=True)
    inputs = [
        msgspec.structs.replace(feature, values=values) if feature.closed else feature
        for feature in manifest.inputs
    ]
    return msgspec.structs.replace(manifest, inputs=inputs), files


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize("kind", [pytest.param(make, id=name) for name, make in GROWING.items()])
def test_a_body_of_twice_the_length_takes_at_most_twice_the_steps(kind, path, service):
    short, long = kind(400).encode(), kind(800).encode()
    ask(service, path, short)
    first, second = steps(service, path, short), steps(service, path, long)
    assert second <= 2.1 * first + 100
    # A million steps are some 20 ms; no body is worth more than so many for each of its bytes.
    assert second <= 100 * len(long) + 10_000


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize("kind", [pytest.param(make, id=name) for name, make in GROWING.items()])
def test_a_body_as_long_as_the_router_takes_is_refused_in_a_few_words(kind, path, service):
    size = 1000
    while len(kind(2 * size)) < 4 * 1024 * 1024 and size < 600_000:
        size *= 2
    status, error = ask(service, path, kind(size).encode())
    assert status in (200, 400, 422)
    assert error is None or len(str(error)) < 1000
    assert error is None or error.field is None or len(error.field) <= 200


def test_six_hundred_thousand_values_and_one_nested_deep_are_refused_before_they_are_looked_at(service):
    body = GROWING["values and one that is nested deep"](600_000).encode()
    assert ask(service, "infer", body)[0] == 422
    assert steps(service, "infer", body) < 2000


def test_a_category_is_looked_up_whatever_the_number_of_those_there_are(closed, make_service):
    service = make_service(*closed)
    few, many = ({"rows": [ROW | {"product_type": f"value {i}"}] * 500} for i in (0, 4999))
    asked = [steps(service, "predict", json.dumps(body).encode()) for body in (few, many)]
    assert abs(asked[0] - asked[1]) < 100


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["L", "torque", "BYTES", "FP64", "INT32"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["torque", "name", "shape", "data", "datatype", "parameters", "product_type"])
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["rows", "instances", "features", "inputs", "outputs", "parameters", "id", "dataframe_split", "data"]
)
TENSORS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["torque", "Air temperature [K]", "product_type", "x"]),
        "shape": st.lists(st.integers(-1, 3), max_size=3) | VALUES,
        "datatype": st.sampled_from(["FP64", "INT64", "BYTES", "BOOL", "FP16"]),
    },
    optional={"data": st.lists(VALUES, max_size=3) | VALUES, "parameters": VALUES},
)
BODIES = (
    st.binary(max_size=200)
    | st.builds(lambda value: json.dumps(value).encode(), st.dictionaries(KEYS, VALUES, max_size=3) | VALUES)
    | st.builds(
        lambda tensors, outputs: json.dumps({"inputs": tensors, "outputs": outputs}).encode(),
        st.lists(TENSORS, max_size=4),
        st.none() | VALUES,
    )
    | st.builds(
        lambda at, more: (text := json.dumps({"rows": [ROW]}).encode())[:at] + more + text[at:],
        st.integers(0, 60),
        st.binary(max_size=3),
    )
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES, length=st.none() | st.integers(0, 100))
def test_any_body_is_answered_or_refused(body, length, service):
    for path in ASKED:
        status, error = ask(service, path, body, length)
        assert status in (200, 400, 422)
        assert error is None or str(error)
