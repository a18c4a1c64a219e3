"""What an artifact holds: the one description that trainer, fetch, verifier and server share.

An artifact is a folder. Its `manifest.json` names every other file with size and sha256, and the
artifact's digest is the sha256 of the bytes of `manifest.json` as stored. Whoever reads an artifact reads
nothing that the manifest does not name.

How a row of JSON becomes an answer
-----------------------------------
1. For each `Input`, in order, take the row's value and read it by the rules of `redstart.artifacts.cells`.
   `Number`: a JSON number, true/false as 1/0, or text that holds a number; missing is NaN. `Category`: text that is
   among `values` as it is, else without blanks around it and without a fraction of zeros; a whole number as its
   decimal text, true/false as "true" and "false"; missing is "". Missing are null, a field left out, and the words
   of `cells.MISSING` that are not among `values`. A missing value of an input that is not `nullable` is refused
   (422), and so is a value outside `values` where the input is `closed`.
2. For each `Tensor`, build one array of shape [rows, len(tensor.features)], columns in the order of
   `tensor.features`: float32, float64 or object (str) as `tensor.type` says. Artifacts of our trainer have at
   most two, `numbers` and `categories`, so that one row costs one or two small arrays whatever the number of
   features; imported ones may have one for each feature.
3. ONNX: feed them by `tensor.name`. Skops and Joblib: the model takes one matrix, the tensors side by side in
   order: float64 when all hold numbers, dtype object when one holds strings.
4. `prediction`: ONNX reads the graph's output `output.tensor` ([rows] or [rows, 1]); Skops and Joblib call
   `predict`. When `output.indexed`, the number is an index into `output.values`, which keep the JSON type of
   the target. `probabilities` ([rows, size], in the order of the prediction's `values`): the graph's output
   `output.tensor`, or `predict_proba`.
5. With a `threshold` (two classes), the prediction is `values[positive]` where the probability of `positive`
   is at least `threshold.value`, else the other; the model's own label is not used. (Classifiers whose
   probabilities are shares of votes have one a little above 0.5, so that ties do not hang on rounding.)
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal

import msgspec

CONTRACT = 1

MANIFEST = "manifest.json"
REFERENCE = "reference.json"
PROFILE = "profile.json"
REPORT = "report.json"

Format = Literal["ONNX", "Skops", "Joblib"]
Task = Literal["Classification", "Regression"]
Label = bool | int | float | str

MODEL_FILES: dict[Format, str] = {"ONNX": "model.onnx", "Skops": "model.skops", "Joblib": "model.joblib"}

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


class ManifestError(ValueError):
    """The bytes are no manifest that this release can read."""


class File(msgspec.Struct, frozen=True):
    """One file beside the manifest: a plain name, its size in bytes, and `sha256:<hex>` of its bytes."""

    name: str
    size: int
    sha256: str


class Input(msgspec.Struct, frozen=True, rename="camel"):
    """One named value of a raw row, as a client sends it.

    `values` are the categories seen in training, without "" (missing), and those words that were declared to be
    values and would else be read as something else; None for numbers. `closed` refuses others.
    """

    name: str
    type: Literal["Number", "Category"]
    nullable: bool = True
    values: list[str] | None = None
    closed: bool = False


class Tensor(msgspec.Struct, frozen=True):
    """One array that the model takes: shape [rows, len(features)]; `string` is an array of str objects."""

    name: str
    type: Literal["float", "double", "string"]
    features: list[str]


class Output(msgspec.Struct, frozen=True):
    """`prediction` (always first), or `probabilities` (classifiers that have them).

    `tensor` is the ONNX graph's output ("" for other formats). `values` are the classes of a classifier's
    prediction; `size` the number of columns. `indexed` says that the tensor holds indices into `values`.
    """

    name: Literal["prediction", "probabilities"]
    type: Literal["Number", "Category"]
    tensor: str = ""
    values: list[Label] | None = None
    size: int = 1
    indexed: bool = False


class Threshold(msgspec.Struct, frozen=True):
    """Predict class `positive` (an index into the prediction's values) from probability `value` on."""

    positive: int
    value: float


class Split(msgspec.Struct, frozen=True, rename="camel"):
    """Which rows were held out, as a rule that holds for later rows too.

    Random, Stratified, Group: a row is held out when the hash of `seed` and its `columns`, as a fraction of
    the largest hash, is below `testFraction`. Time: a row is held out from `cutoff` on (ISO 8601); rows less
    than `gap` (a duration) before it are in neither part.
    """

    strategy: Literal["Random", "Stratified", "Group", "Time"]
    seed: int
    test_fraction: float
    columns: list[str]
    cutoff: str | None = None
    gap: str | None = None


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """See the module's docstring. `files` name everything in the folder but `manifest.json` itself."""

    contract: int
    model: str
    task: Task
    format: Format
    files: list[File]
    inputs: list[Input]
    tensors: list[Tensor]
    outputs: list[Output]
    threshold: Threshold | None = None
    split: Split | None = None
    input_digest: str = ""
    data_digest: str = ""
    framework: dict[str, str] = {}

    @property
    def model_file(self) -> str:
        """The name of the file that holds the model."""
        return MODEL_FILES[self.format]

    @property
    def prediction(self) -> Output:
        return self.outputs[0]

    @property
    def probabilities(self) -> Output | None:
        return next((output for output in self.outputs if output.name == "probabilities"), None)


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the model says of one row; `probabilities` in the order of the prediction's `values`."""

    prediction: Label
    probabilities: list[float] | None = None


class Reference(msgspec.Struct, frozen=True):
    """`reference.json`: raw rows as a client would send them, and the exported artifact's own answers."""

    rows: list[dict[str, float | str | None]]
    answers: list[Answer]


class NumberProfile(msgspec.Struct, frozen=True, tag_field="type", tag="Number"):
    """Frozen bins of one number: `counts[i]` rows in (edges[i], edges[i + 1]], the first closed below."""

    edges: list[float]
    counts: list[int]
    missing: int


class CategoryProfile(msgspec.Struct, frozen=True, tag_field="type", tag="Category"):
    """Counts of each value, most frequent first."""

    values: list[Label]
    counts: list[int]
    missing: int


FeatureProfile = NumberProfile | CategoryProfile


class Profile(msgspec.Struct, frozen=True):
    """`profile.json`: features of the training part, predictions of the exported artifact on the test part."""

    rows: int
    features: dict[str, FeatureProfile]
    prediction: FeatureProfile


def encode(document: msgspec.Struct) -> bytes:
    """Canonical JSON: keys sorted, no spaces, so that equal documents have equal bytes."""
    return msgspec.json.encode(document, order="sorted")


def sha256(content: bytes) -> str:
    """`sha256:<hex>` of some bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def digest(manifest: Manifest) -> str:
    """The digest of the artifact that this manifest describes."""
    return sha256(encode(manifest))


def decode(content: bytes) -> Manifest:
    """Read `manifest.json`.

    Raises:
        ManifestError: not JSON of this shape, another contract, or inconsistent in itself.
    """
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as error:
        raise ManifestError(f"{MANIFEST} cannot be read: {error}") from None
    _validate(manifest)
    return manifest


def decode_reference(content: bytes) -> Reference:
    """Read `reference.json`."""
    try:
        return msgspec.json.decode(content, type=Reference)
    except msgspec.DecodeError as error:
        raise ManifestError(f"{REFERENCE} cannot be read: {error}") from None


def decode_profile(content: bytes) -> Profile:
    """Read `profile.json`."""
    try:
        return msgspec.json.decode(content, type=Profile)
    except msgspec.DecodeError as error:
        raise ManifestError(f"{PROFILE} cannot be read: {error}") from None


def _validate(manifest: Manifest) -> None:
    if manifest.contract != CONTRACT:
        raise ManifestError(
            f"the artifact is written by contract {manifest.contract}, this release reads {CONTRACT}"
        )
    names = [file.name for file in manifest.files]
    for file in manifest.files:
        if not _FILE_NAME.fullmatch(file.name) or file.name == MANIFEST:
            raise ManifestError(f"files: {file.name!r} is no plain file name")
        if file.size < 0 or not _SHA256.fullmatch(file.sha256):
            raise ManifestError(f"files: {file.name} has no valid size and sha256")
    if len(set(names)) != len(names):
        raise ManifestError("files: a name is listed twice")
    if manifest.model_file not in names:
        raise ManifestError(f"files: a {manifest.format} artifact needs {manifest.model_file}")
    inputs = [feature.name for feature in manifest.inputs]
    if len(set(inputs)) != len(inputs):
        raise ManifestError("inputs: a name is listed twice")
    if sorted(name for tensor in manifest.tensors for name in tensor.features) != sorted(inputs):
        raise ManifestError("tensors: every input must be in exactly one tensor")
    types = {feature.name: feature.type for feature in manifest.inputs}
    for tensor in manifest.tensors:
        wanted = "Category" if tensor.type == "string" else "Number"
        for name in tensor.features:
            if types[name] != wanted:
                raise ManifestError(f"tensors: {tensor.name} ({tensor.type}) holds {name}, a {types[name]}")
    if not manifest.outputs or manifest.outputs[0].name != "prediction":
        raise ManifestError("outputs: the first must be the prediction")
    _validate_answers(manifest)


def _validate_answers(manifest: Manifest) -> None:
    values, probabilities = manifest.prediction.values, manifest.probabilities
    if manifest.prediction.indexed and not values:
        raise ManifestError("outputs: an indexed prediction needs values")
    if probabilities is not None and probabilities.size != len(values or ()):
        raise ManifestError("outputs: probabilities need one column for each of the prediction's values")
    if manifest.threshold is not None and (
        probabilities is None or probabilities.size != 2 or manifest.threshold.positive not in (0, 1)
    ):
        raise ManifestError("threshold: needs probabilities of two classes")
