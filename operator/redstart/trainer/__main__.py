"""`python -m redstart.trainer`: the trainer's container."""

from __future__ import annotations

import os
import sys
import traceback

import msgspec

from redstart.artifacts import termination
from redstart.artifacts.storage import StoreError
from redstart.artifacts.termination import Report
from redstart.trainer import details
from redstart.trainer.errors import TrainingError, last_line
from redstart.trainer.job import read_job
from redstart.trainer.progress import Progress, say, served
from redstart.trainer.run import run

LASTING = 3
"""Exit code of a failure that would come back; the Job's podFailurePolicy ends it at once."""
PASSING = 1
"""Exit code of a failure that may pass; the Job starts another pod, up to its backoffLimit."""


def main() -> int:
    """Train, and leave report and details where the operator reads them."""
    progress = Progress()
    try:
        with served(progress):
            report, found = run(read_job(), progress)
    except TrainingError as error:
        return _failed(error.reason, str(error), LASTING)
    except StoreError as error:
        if error.reason == "NotFound":  # of a source it was told as such
            return _failed("StoreNotFound", f"output.uri: {error}", LASTING)
        return _failed(error.reason, str(error), LASTING if error.lasting else PASSING)
    except MemoryError:
        return _failed("OutOfMemory", "the rows do not fit in memory; raise template.resources", PASSING)
    except OSError as error:
        reason = "DiskFull" if error.errno in (28, 122) else "SystemError"
        return _failed(reason, last_line(error), PASSING)
    except Exception as error:
        traceback.print_exc()
        return _failed("TrainerError", last_line(error), LASTING)
    line, digest = details.line(found)
    say(report.result.lower(), f"{report.reason}: {report.message}")
    print(line, flush=True)
    termination.write(msgspec.structs.replace(report, details_digest=digest))
    return 0


def _failed(reason: str, message: str, code: int) -> int:
    print(f"failed     {reason}: {message}", file=sys.stderr, flush=True)
    termination.write(Report("Failed", reason, message))
    return code


if __name__ == "__main__":
    termination.end_on_sigterm()
    code = main()
    sys.stdout.flush()
    # Threads of the object stores' and the numerical libraries' native code must not delay the end of the pod.
    os._exit(code)
