"""What the judge promises, asked of the server itself: whatever stable's server takes, a compatible canary's takes too,
and reads it as the same inputs."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from redstart.artifacts.manifest import CONTRACT, File, Input, Manifest, Output, Tensor
from redstart.controllers.inference_service.compatibility import Side, ignored_inputs, incompatible
from redstart.controllers.inference_service.signature import of_manifest
from redstart.server.ignored import IgnoredInputs
from redstart.server.rows import InputError, RowDecoder

NAMES = ["torque", "wear", "kind"]
VALUES = ["L", "M", "H"]
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "Number": st.none() | st.floats(-1e6, 1e6) | st.booleans(),
    "Category": st.none() | st.sampled_from([*VALUES, "unseen", ""]),
}


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Of a regression over some of a few inputs, in any order."""
    inputs = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True)):
        # Mostly what it would be from month to month, else nothing would be compatible.
        usual = "Category" if name == "kind" else "Number"
        type_ = draw(st.sampled_from([usual] * 5 + ["Number", "Category"]))
        values = draw(st.lists(st.sampled_from(VALUES), unique=True)) if type_ == "Category" else None
        closed = type_ == "Category" and draw(st.booleans())
        inputs.append(Input(name, type_, nullable=draw(st.booleans()), values=values, closed=closed))  # type: ignore[arg-type]
    numbers = [feature.name for feature in inputs if feature.type == "Number"]
    texts = [feature.name for feature in inputs if feature.type == "Category"]
    return Manifest(
        contract=CONTRACT,
        model="m",
        task="Regression",
        format="ONNX",
        files=[File("model.onnx", 0, "sha256:" + "0" * 64)],
        inputs=inputs,
        tensors=[Tensor("numbers", "double", numbers)] * bool(numbers)
        + [Tensor("categories", "string", texts)] * bool(texts),
        outputs=[Output("prediction", "Number")],
    )


def side(manifest: Manifest, ignored: dict[str, str]) -> Side:
    return Side("v", of_manifest(manifest), ignored)


def read(manifest: Manifest, ignored: dict[str, str], body: dict[str, Any]) -> dict[str, list[Any]] | str:
    """What a server makes of a body: the values of each input, or why it refuses."""
    decoder = RowDecoder(manifest, ignored=IgnoredInputs(ignored, manifest))
    try:
        rows = decoder.decode(json.dumps(body).encode())
    except InputError as error:
        return str(error)
    return {
        name: [repr(value) for value in array[:, place].tolist()]
        for tensor, array in zip(manifest.tensors, rows.tensors, strict=True)
        for place, name in enumerate(tensor.features)
    }


@settings(max_examples=400, deadline=None)
@given(
    before=manifests(),
    after=manifests(),
    earlier=st.dictionaries(st.sampled_from(["site"]), st.just("Number")),
    data=st.data(),
)
def test_what_stable_takes_a_compatible_canary_takes_alike(
    before: Manifest, after: Manifest, earlier: dict[str, str], data: st.DataObject
) -> None:
    stable = side(before, earlier)
    told = ignored_inputs(stable, {feature.name for feature in after.inputs})
    assume(incompatible(stable, side(after, told)) is None)
    cells = {feature.name: CELLS[feature.type] for feature in before.inputs}
    sent = data.draw(st.fixed_dictionaries({}, optional=cells | dict.fromkeys(earlier, CELLS["Number"])))
    if not isinstance(read(before, earlier, {"rows": [sent]}), str):
        taken = read(after, told, {"rows": [sent]})
        assert not isinstance(taken, str), taken
        known = read(before, earlier, {"rows": [sent]})
        assert {name: taken[name] for name in taken if name in known} == {
            name: values
            for name, values in known.items()
            if name in taken  # type: ignore[union-attr]
        }
    values = data.draw(st.tuples(*cells.values()))
    known = read(before, earlier, {"instances": [values]})
    taken = read(after, told, {"instances": [values]})
    if not isinstance(known, str):
        # Refused for its length, loudly, or read as the same.
        assert taken == known if len(after.inputs) == len(before.inputs) else isinstance(taken, str)
