"""What a Job's pod says at its end, read and checked: termination message and the details in its log. Pure.

Both come out of a user's pod, possibly of a user's own image: a report that does not fit the contract of
docs/internals.md is as good as absent, and details that do not are refused with the field.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError

from redstart.api.v1alpha1.common import Digest, Format, GateResult, Metric, Number, OutputUri, Status, Text
from redstart.api.v1alpha1.model_version import Importance
from redstart.api.v1alpha1.training_job import Conversion, DataReport

DETAIL_LINES = 1000
"""Lines of log to ask for. A long line counts as one for each 16 KiB of it: the kubelet counts the pieces that
the container runtime wrote."""


class BadReportError(Exception):
    """What a pod says of itself is not what it may say; the message names the field."""

    @classmethod
    def of(cls, error: ValidationError, what: str, field: str) -> BadReportError:
        """The first fault of `what`, below `field`."""
        first = error.errors()[0]
        where = ".".join([field, *(str(part) for part in first["loc"])])
        return cls(f"{what}: {where}: {first['msg']}")


class ReportedArtifact(Status):
    """The artifact that the pod wrote or found."""

    uri: OutputUri
    digest: Digest
    format: Format


class Report(Status):
    """A pod's termination message."""

    result: Literal["Succeeded", "Rejected", "SameInputs", "Failed", "Verified"]
    reason: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9]{0,63}$")]
    message: Text
    number: Annotated[int, Field(ge=1, le=2147483647)] | None = None
    input_digest: Digest | None = None
    data_digest: Digest | None = None
    rows: Annotated[int, Field(ge=0)] | None = None
    artifact: ReportedArtifact | None = None
    details_digest: Digest | None = None


class Details(Status):
    """The last line of a container's log; `inputs` and `outputs` are checked where they are used."""

    inputs: list[dict[str, Any]] = Field(default_factory=list)
    outputs: list[dict[str, Any]] = Field(default_factory=list)
    metrics: dict[Metric, Number] = Field(default_factory=dict)
    gates: list[GateResult] = Field(default_factory=list)
    importance: list[Importance] = Field(default_factory=list)
    data: DataReport | None = None
    conversion: Conversion | None = None
    framework: dict[str, str] = Field(default_factory=dict)


def report(ended: Mapping[str, Any] | None) -> Report | None:
    """The report in a terminated container's state, or None when it left none that can be read."""
    if ended is None:
        return None
    try:
        return Report.model_validate_json(ended.get("message") or "")
    except ValidationError:
        return None


def details(log: str, digest: str) -> Details | None:
    """The details of that digest among the log's lines, the last first, or None when they are not there.

    Raises:
        BadReportError: they are there, and do not fit the contract.
    """
    for line in reversed(log.split("\n")):
        if f"sha256:{hashlib.sha256(line.encode()).hexdigest()}" == digest:
            try:
                return Details.model_validate_json(line)
            except ValidationError as error:
                what = "the last line of the log does not fit the contract"
                raise BadReportError.of(error, what, "details") from error
    return None
