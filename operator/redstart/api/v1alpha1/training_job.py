"""TrainingJob: data in, a trained and gated model version out."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from redstart.api.v1alpha1.common import (
    Column,
    Conditioned,
    Digest,
    Duration,
    Format,
    Gate,
    GateResult,
    Metric,
    Model,
    ModelName,
    Name,
    Number,
    OutputUri,
    PodTemplate,
    PositiveDuration,
    SecretRef,
    ShortText,
    Status,
    Text,
    Timestamp,
    Uri,
    rules,
    worded,
)
from redstart.api.v1alpha1.scalars import Target, Word, refusal

Columns = Annotated[list[Column], Field(min_length=1, max_length=500)]


_CODECS = (
    "utf-?8(-sig)?|utf-?16(-?[lb]e)?|utf-?32(-?[lb]e)?|(us-)?ascii|latin-?[0-9]{1,2}|iso-?8859-[0-9]{1,2}|"
    "(cp|windows-|ibm)[0-9]{3,5}|mac-?roman|koi8-[ru]|shift-?jis|euc-?(jp|kr)|gbk|gb2312|gb18030|big5"
)


class SourceFormat(Model):
    """How the CSV files of a source are written."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.separator) || !has(self.decimal) || self.separator != self.decimal",
                "data.sources.format: separator and decimal are the same sign; files with a decimal comma are "
                "separated by another one, mostly ;",
            )
        )
    )

    separator: (
        Annotated[
            str,
            StringConstraints(min_length=1, max_length=1, pattern=r"^[\x01-\x09\x1c-!#-&(-*,/:-@\[\]-`{-~]$"),
            worded(
                'use one sign, such as "," ";" "|" or "\\t" for a tab, and no letter, digit, quote, point or minus'
            ),
        ]
        | None
    ) = None
    """What stands between two cells. By default it is recognised among comma, semicolon, tab and |."""
    decimal: Literal[".", ","] | None = None
    """What stands before the fraction of a number. By default it is recognised."""
    encoding: (
        Annotated[
            str,
            StringConstraints(min_length=1, max_length=32, pattern=f"^(?i:{_CODECS})$"),
            worded("use the name of an encoding of text, such as UTF-8, UTF-16, cp1252 or latin-1"),
        ]
        | None
    ) = None
    """Encoding of the text. By default UTF-8, or what a byte order mark says."""


class Source(Model):
    """Files of rows."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.uri.startsWith('http') || !self.uri.matches('/[.][.]?(/|$)')",
                "data.sources.uri: '..' is not allowed; name the folder itself",
            ),
            (
                "!has(self.secretRef) || !(self.uri.startsWith('pvc://') || self.uri.startsWith('configmap://'))",
                "data.sources.secretRef: pvc:// and configmap:// need no credentials; remove secretRef",
            ),
            (
                "!has(self.secretRef) || !self.uri.startsWith('http://')",
                "data.sources.secretRef: http:// would send it for all to read; use https://, or remove secretRef",
            ),
            (
                "!self.uri.matches('^https?://[^/?#]*@')",
                "data.sources.uri: user and password do not belong into it; put USERNAME and PASSWORD into a Secret, "
                "and name it as secretRef",
            ),
            (
                "!has(self.format) || !self.uri.matches('(?i)[.](parquet|pq)$')",
                "data.sources.format: Parquet files say themselves how they are written; remove format",
            ),
        )
    )

    uri: Uri
    """Where the rows are: s3://bucket/path, https://host/path?query, pvc://claim/path or configmap://name/key; CSV or
    Parquet by the path's ending; * matches within one path segment."""
    secret_ref: SecretRef | None = None
    """Credentials of the store; of https:// the keys TOKEN, or USERNAME and PASSWORD."""
    format: SourceFormat | None = None
    """How CSV files are written, where it is not recognised from their beginning. Not for Parquet."""


class Features(Model):
    """Which columns the model may see."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.include) != has(self.exclude)",
                "data.features: give exactly one of include and exclude",
            )
        )
    )

    include: Columns | None = None
    """Only these columns."""
    exclude: Columns | None = None
    """All columns but these. The target, time, group and sensitive columns never are features."""


class ExpectedColumn(Model):
    """What must hold for one column."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.min) || !has(self.max) || self.min <= self.max",
                "data.expect.columns: min is above max",
            )
        )
    )

    type: Literal["Number", "Category"] | None = None
    """Number: every value is a number. Category: every value is text, a boolean or a whole number."""
    min: Number | None = None
    """No value is below this."""
    max: Number | None = None
    """No value is above this."""
    max_missing: Annotated[float, Field(ge=0, le=1)] | None = None
    """The largest share of missing values, 0 to 1."""
    values: Annotated[list[Word], Field(min_length=1, max_length=200)] | None = None
    """The only values allowed. A word that else means no value, such as NA, is a value where it is listed."""


class Expectations(Model):
    """What must hold for the rows; the run fails early where it does not, naming column, rule and count."""

    min_rows: Annotated[int, Field(ge=1)] | None = None
    """The least number of rows after duplicates are dropped."""
    columns: Annotated[dict[Column, ExpectedColumn], Field(max_length=500)] = {}
    """Rules by column."""


class Data(Model):
    """The rows to learn from."""

    sources: Annotated[list[Source], Field(min_length=1, max_length=32)]
    """Read in order and concatenated."""
    target: Target
    """The column to predict. Predictions keep its JSON type. One target only. Put y, n, yes, no, on, off in quotes."""
    time: Column | None = None
    """Orders the rows. Needed for Time splits and for forward fill; never a feature."""
    features: Features | None = None
    """Which columns the model may see; by default all but target, time, group and sensitive columns."""
    sensitive: Annotated[list[Column], Field(max_length=50)] = []
    """Never a feature, a log line, a metric label or a reference row."""
    expect: Expectations | None = None
    """What must hold for the rows."""

    @model_validator(mode="after")
    def _target_is_apart(self) -> Self:
        # No rules of the API server: a field without a type cannot be named in one.
        if self.time == self.target:
            raise refusal("time must not be the target")
        if self.target in self.sensitive:
            raise refusal("sensitive must not name the target")
        if self.features is not None and self.target in (self.features.include or []):
            raise refusal("features.include must not name the target")
        return self


class ForwardFill(Model):
    """Carries the last known value forward."""

    columns: Columns
    """The columns to fill."""
    group_by: Column | None = None
    """Fill only within rows that share this column's value."""
    limit: Annotated[int, Field(ge=1, le=100000)] | None = None
    """The longest run of missing values to fill."""


class PrepareDataset(Model):
    """Shapes the training rows only; it is not part of the model."""

    drop_duplicates: bool = False
    """Drop rows that repeat an earlier row in every column."""
    forward_fill: ForwardFill | None = None
    """Carry values forward in time; a value still missing, and any missing value when serving, is imputed."""
    drop_missing: Columns | None = None
    """Drop rows in which one of these is missing. When serving, a row without them is refused with 422. Of the target
    it drops the rows whose class is a word for a missing value, such as NA."""


class Encode(Model):
    """How categories are encoded."""

    unknown: Literal["Ignore", "Reject"] = "Ignore"
    """What serving does with a category that training never saw: Ignore encodes none, Reject answers 422."""


class PrepareModel(Model):
    """Exported inside the artifact, so that serving takes raw rows."""

    impute: Annotated[
        dict[Column, Annotated[str, StringConstraints(min_length=1, max_length=64)]],
        Field(
            max_length=500,
            json_schema_extra=rules(
                (
                    "self.all(k, self[k] in ['Mean', 'Median', 'MostFrequent'] || self[k].startsWith('Constant:'))",
                    "prepare.model.impute: use Mean, Median, MostFrequent or Constant:VALUE",
                )
            ),
        ),
    ] = {}
    """What stands in for a missing value, by column: Mean, Median, MostFrequent or Constant:VALUE. By default Median
    for numbers and a category of its own for missing text."""
    encode: Encode = Encode()
    """How categories are encoded."""
    scale: Literal["Auto", "Standard", "MinMax", "None"] = "Auto"
    """Scaling of numbers. Auto scales to unit variance, but leaves tree ensembles unscaled: they do not need it,
    and float32 thresholds would make the exported model inexact."""


class Prepare(Model):
    """What happens to the rows before the algorithm sees them."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.dataset) || !has(self.dataset.dropMissing) || !has(self.model) || "
                "!has(self.model.impute) || self.dataset.dropMissing.all(c, !(c in self.model.impute))",
                "prepare: a column is in dataset.dropMissing and in model.impute; it can be either required or "
                "imputed",
            ),
            (
                "!has(self.dataset) || !has(self.dataset.dropMissing) || !has(self.dataset.forwardFill) || "
                "self.dataset.dropMissing.all(c, !(c in self.dataset.forwardFill.columns))",
                "prepare.dataset: a column is in dropMissing and in forwardFill; choose one",
            ),
        )
    )

    dataset: PrepareDataset = PrepareDataset()
    """Shapes the training rows only."""
    model: PrepareModel = PrepareModel()
    """Exported inside the artifact."""


class Validation(Model):
    """Cross-validation inside the training part."""

    folds: Annotated[int, Field(ge=2, le=20)] = 5
    """Number of folds, used where a threshold is chosen."""


class Split(Model):
    """Which rows are held out for the one final evaluation. A row held out once is held out for ever, also when
    later rows are appended."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.group) == (has(self.strategy) && self.strategy == 'Group')",
                "split.group: needed with strategy Group, and only there",
            ),
            (
                "!has(self.gap) || (has(self.strategy) && self.strategy == 'Time')",
                "split.gap: only with strategy Time",
            ),
        )
    )

    strategy: Literal["Random", "Stratified", "Group", "Time"] = "Random"
    """Random by row; Stratified by row within each class; Group keeps rows of one group together; Time holds out
    the newest rows."""
    test_fraction: Annotated[float, Field(gt=0, lt=0.9)] = 0.2
    """Share of rows held out."""
    seed: Annotated[int, Field(ge=0, le=2147483647)] = 0
    """Seeds the split and the algorithm's random_state."""
    group: Column | None = None
    """With Group: the column that names the group."""
    gap: Duration | None = None
    """With Time: this much time before the cut-off is used by neither part."""
    validation: Validation = Validation()
    """Cross-validation inside the training part."""


class Algorithm(Model):
    """What learns."""

    estimator: Annotated[
        str,
        StringConstraints(max_length=128, pattern=r"^[A-Z][A-Za-z0-9]*$"),
        worded("use the class name of a scikit-learn estimator alone, for instance RandomForestClassifier"),
    ]
    """A scikit-learn estimator by its class name, for instance RandomForestClassifier."""
    parameters: Annotated[
        dict[str, Any],
        Field(max_length=50, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
    ] = {}
    """The estimator's parameters, checked against it before any row is read."""
    refit: Literal["TrainOnly", "All"] = "TrainOnly"
    """TrainOnly exports the model that was evaluated; All fits it again on every row after the evaluation."""


class Threshold(Model):
    """How the decision threshold of a binary classifier is chosen."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.value) != has(self.maximize)",
                "evaluation.threshold: give exactly one of value and maximize",
            )
        )
    )

    value: Annotated[float, Field(ge=0, le=1)] | None = None
    """Predict the positive class from this probability on."""
    maximize: Literal["f1", "accuracy", "f1Macro"] | None = None
    """Choose the threshold that maximizes this metric on the folds of the training part."""


class Evaluation(Model):
    """How the held-out rows are judged."""

    positive_class: Word | None = None
    """The class that precision, recall, f1 and the threshold are about, written as text; by default the greater of
    two classes."""
    threshold: Threshold | None = None
    """Decision threshold of a binary classifier, applied in the served model too; by default the estimator's own."""


class Output(Model):
    """Where versions are kept."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("!self.uri.contains('..')", "output.uri: '..' is not allowed"),
            (
                "!has(self.secretRef) || !self.uri.startsWith('pvc://')",
                "output.secretRef: pvc:// needs no credentials; remove secretRef",
            ),
        )
    )

    uri: OutputUri
    """A folder: pvc://claim/path or s3://bucket/path."""
    format: Format = "ONNX"
    """ONNX where the exported model answers as the trained one does, Skops where not (the reason is in status);
    Joblib only where the operator's settings allow it, because loading it runs code."""
    secret_ref: SecretRef | None = None
    """Credentials of the store."""


_CLASSIFICATION = "['accuracy','precision','recall','f1','precisionMacro','recallMacro','f1Macro','rocAuc']"


class TrainingJobSpec(Model):
    """Runs once for each distinct input: spec, data and training code that were trained before are not trained
    again."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.gates) || self.gates.all(g, (g.metric in "
                + _CLASSIFICATION
                + ") == (self.task == 'Classification'))",
                "gates: mae, rmse and r2 are for Regression, the other metrics for Classification",
            ),
            (
                "!has(self.evaluation) || self.task == 'Classification'",
                "evaluation: positiveClass and threshold are for Classification; remove them",
            ),
            (
                "!has(self.split) || !has(self.split.strategy) || self.split.strategy != 'Stratified' || "
                "self.task == 'Classification'",
                "split.strategy: Stratified is for Classification; use Random",
            ),
            (
                "!has(self.split) || !has(self.split.validation) || (has(self.evaluation) && "
                "has(self.evaluation.threshold) && has(self.evaluation.threshold.maximize))",
                "split.validation: its folds choose the threshold of evaluation.threshold.maximize; remove it or give "
                "that too",
            ),
            (
                "!has(self.split) || !has(self.split.strategy) || self.split.strategy != 'Time' || "
                "has(self.data.time)",
                "data.time: needed with split.strategy Time",
            ),
            (
                "!has(self.prepare) || !has(self.prepare.dataset) || !has(self.prepare.dataset.forwardFill) || "
                "has(self.data.time)",
                "data.time: needed with prepare.dataset.forwardFill",
            ),
        )
    )

    model: ModelName
    """The model's name. Versions are named <model>-v1, -v2, ..."""
    task: Literal["Classification", "Regression"]
    """What is learned."""
    data: Data
    """The rows to learn from."""
    prepare: Prepare = Prepare()
    """What happens to the rows before the algorithm sees them."""
    split: Split = Split()
    """Which rows are held out."""
    algorithm: Algorithm
    """What learns."""
    evaluation: Evaluation = Evaluation()
    """How the held-out rows are judged."""
    gates: Annotated[list[Gate], Field(max_length=20)] = []
    """All must hold, or the version is Rejected with the reason."""
    output: Output
    """Where versions are kept."""
    suspend: bool = False
    """While true nothing new starts, and a running Job is suspended."""
    backoff_limit: Annotated[int, Field(ge=0, le=10)] = 2
    """How often a pod that failed for a passing reason is started again."""
    active_deadline: PositiveDuration = "24h"
    """The longest that one run may take."""
    template: PodTemplate = PodTemplate()
    """Changes to the trainer's pod."""


class Progress(Status):
    """How far a run is."""

    percent: Annotated[int, Field(ge=0, le=100)]
    """0 to 100."""
    message: Text
    """What it is doing."""


RunResult = Literal["Succeeded", "Rejected", "SameInputs", "Failed", "Superseded", "Lost"]


class Run(Status):
    """The newest run."""

    number: int
    """Counts the runs of this TrainingJob."""
    job: Name
    """Name of its Job."""
    spec_digest: Digest
    """Digest of what it was started for: the training fields, the gates and the annotation redstart.dev/train."""
    generation: int | None = None
    """The newest generation of the spec that it is a run of: the one that it was started with, or a later one in which
    nothing but spec.suspend differs."""
    input_digest: Digest | None = None
    """Digest of everything that decides the result: training fields, data and the trainer's semantics."""
    data_digest: Digest | None = None
    """Digest of the data files' bytes."""
    rows: int | None = None
    """Rows read."""
    started_at: Timestamp | None = None
    """When it was started."""
    finished_at: Timestamp | None = None
    """When it ended."""
    result: RunResult | None = None
    """What came of it, once it has ended. Rejected: trained, but a gate failed; SameInputs: the store held the result
    already; Superseded: the spec changed before it ended; Lost: its pod was gone before its result could be read."""
    reason: ShortText | None = None
    """Why, in one word."""
    message: Text | None = None
    """Why, in a sentence."""


class RunRecord(Status):
    """A run that has ended."""

    number: int
    """The run's number."""
    result: RunResult
    """What came of it."""
    reason: ShortText
    """Why, in one word."""
    version: Name | None = None
    """The version that it made or found."""
    finished_at: Timestamp | None = None
    """When it ended."""


class Conversion(Status):
    """How the trained model was exported."""

    format: Format
    """The format that was written."""
    reason: Text
    """Why that one."""
    largest_difference: Number | None = None
    """The largest difference between the exported model's answers and the trained one's."""


DroppedReason = Literal["DuplicateRows", "MissingTarget", "MissingValues", "InGap"]


class DroppedRows(Status):
    """Rows that were neither learned from nor held out."""

    reason: DroppedReason
    """DuplicateRows: by prepare.dataset.dropDuplicates; MissingTarget: they have no target; MissingValues: by
    prepare.dataset.dropMissing; InGap: within split.gap before the cut-off."""
    column: Column | None = None
    """The column that is missing."""
    count: Annotated[int, Field(ge=1)]
    """How many."""


class RowCounts(Status):
    """What became of the rows."""

    read: Annotated[int, Field(ge=0)]
    """Rows in the files."""
    dropped: Annotated[list[DroppedRows], Field(max_length=50)] = []
    """Rows that were left out, by reason."""
    train: Annotated[int, Field(ge=0)]
    """Rows to learn from."""
    test: Annotated[int, Field(ge=0)]
    """Rows held out."""


class DataWarning(Status):
    """Something about the data that should be looked at. Never a value of a sensitive column."""

    kind: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]{0,63}$", max_length=64)]
    """LeakageSuspected, IndexColumn, Identifier, MixedTypes, Guessed, NearEqualLabels, Constant, LeadingZeros,
    ReadAsMissing, Changed or BlankLines; docs/training.md describes each."""
    column: Column | None = None
    """The column that it is about."""
    count: Annotated[int, Field(ge=0)]
    """How many cells, rows or values it concerns."""
    message: Annotated[str, StringConstraints(max_length=512)]
    """What was found, and what mends it."""


class DataReport(Status):
    """What was found in the data."""

    rows: RowCounts
    """What became of the rows."""
    warnings: Annotated[list[DataWarning], Field(max_length=50)] = []
    """What was changed, guessed or is suspected, the gravest first."""
    omitted: Annotated[int, Field(ge=0)] = 0
    """Further warnings; the trainer's log has them all."""


class TrainingJobStatus(Conditioned):
    """What the operator has seen and done."""

    phase: Literal["Pending", "Suspended", "Running", "Succeeded", "Failed", "Rejected"] | None = None
    """A summary of the conditions."""
    progress: Progress | None = None
    """How far the run is, while it runs."""
    run: Run | None = None
    """The newest run."""
    latest_version: Name | None = None
    """The newest ModelVersion of this job."""
    metrics: Annotated[dict[Metric, Number], Field(max_length=64)] | None = None
    """Metrics of the newest version on its held-out rows."""
    gates: Annotated[list[GateResult], Field(max_length=20)] = []
    """Each gate and what came of it."""
    data: DataReport | None = None
    """What was found in the data of the newest version."""
    conversion: Conversion | None = None
    """How the newest version was exported."""
    history: Annotated[list[RunRecord], Field(max_length=10)] = []
    """The last runs, newest first."""


class TrainingJob(Model):
    """Trains a model on data, evaluates it on held-out rows, and registers it as a ModelVersion when it passes its
    gates."""

    spec: TrainingJobSpec
    """What to train, on what, and what it must reach."""
    status: TrainingJobStatus | None = None
    """What the operator has seen and done. Written by the operator only."""
