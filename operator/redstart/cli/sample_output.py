"""`redstart sample-data`: rows to a file or to standard output."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

from redstart.cli.errors import CliError
from redstart.cli.sample_data import SampleDataError, generate, write


def make(
    output: str,
    *,
    rows: int,
    seed: int,
    month: str,
    drift: float,
    missing: float,
    duplicates: float,
    bias: float | None,
) -> None:
    """Generates rows and writes them: `-` and `json` to standard output, anything else to a file of that name.

    Raises:
        CliError: an option is out of range, or the file cannot be written.
    """
    try:
        made = generate(
            seed=seed, rows=rows, month=month, drift=drift, missing=missing, duplicates=duplicates, bias=bias
        )
        if output == "-":
            writer = csv.DictWriter(sys.stdout, fieldnames=list(made[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(made)
        elif output == "json":
            print(json.dumps(made))
        else:
            write(made, Path(output))
            print(f"{output}: {len(made)} rows of {month}", file=sys.stderr)
    except SampleDataError as error:
        raise CliError(str(error)) from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise CliError(f"{output} cannot be written: {error.strerror or error}") from error
