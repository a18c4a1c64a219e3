"""A model as somebody might bring it along: a table of the highest safe torque for each minute of tool wear.

It is right on the rows that its author had, and fails on what he never saw: a tool that is older than the table is
long has no entry, and the graph's Gather raises. Nothing in it is made to fail on purpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST_LIFE = 200
"""Minutes of tool wear that the table knows: the age at which tools were changed when it was made."""
STRAIN = 11_000.0
"""Torque times wear above which tools break [Nm min], as the data set's description gives it for product type L."""
USUAL_TORQUE, USUAL_WEAR = 40.0, 100.0
"""What it takes for a value that a sensor did not give, as the versions before it do."""
STRONGEST = 70.0
"""Torque above which a machine's power is too high, whatever the tool's age [Nm]."""
NUMBERS = ("air_temperature", "process_temperature", "rotational_speed", "torque", "tool_wear")
CATEGORIES = ("product_type",)


def graph() -> bytes:
    """The model as ONNX: tensors `numbers` and `categories` in, label and probabilities out."""
    wear = np.maximum(np.arange(LONGEST_LIFE, dtype=np.float32), 1.0)
    table = np.minimum(STRAIN / wear, STRONGEST).astype(np.float32)
    constants: dict[str, NDArray[Any]] = {
        "table": table,
        "torque_column": np.array([NUMBERS.index("torque")], dtype=np.int64),
        "wear_column": np.array([NUMBERS.index("tool_wear")], dtype=np.int64),
        "usual_torque": np.array(USUAL_TORQUE, dtype=np.float32),
        "usual_wear": np.array(USUAL_WEAR, dtype=np.float32),
        "half": np.array(0.5, dtype=np.float32),
        "one": np.array(1.0, dtype=np.float32),
        "flat": np.array([-1], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["numbers", "torque_column"], ["torque_given"], axis=1),
        helper.make_node("IsNaN", ["torque_given"], ["no_torque"]),
        helper.make_node("Where", ["no_torque", "usual_torque", "torque_given"], ["torque"]),
        helper.make_node("Gather", ["numbers", "wear_column"], ["wear_given"], axis=1),
        helper.make_node("IsNaN", ["wear_given"], ["no_wear"]),
        helper.make_node("Where", ["no_wear", "usual_wear", "wear_given"], ["wear"]),
        helper.make_node("Cast", ["wear"], ["minute"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "minute"], ["limit"]),
        helper.make_node("Sub", ["torque", "limit"], ["above"]),
        helper.make_node("Sigmoid", ["above"], ["failure"]),
        helper.make_node("Sub", ["one", "failure"], ["no_failure"]),
        helper.make_node("Concat", ["no_failure", "failure"], ["probabilities"], axis=1),
        helper.make_node("Greater", ["failure", "half"], ["fails"]),
        helper.make_node("Cast", ["fails"], ["fails_number"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["fails_number", "flat"], ["label"]),
    ]
    made = helper.make_graph(
        nodes,
        "highest-safe-torque",
        [
            helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, len(NUMBERS)]),
            helper.make_tensor_value_info("categories", TensorProto.STRING, [None, len(CATEGORIES)]),
        ],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())
