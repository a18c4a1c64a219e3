"""`python -m redstart.artifacts fetch`, the init step of server and verifier, and `pack`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from redstart.artifacts import storage, termination
from redstart.artifacts.fetch import FetchError, fetch
from redstart.artifacts.storage import StoreError
from redstart.artifacts.termination import Report


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 done, 3 a fault that would come back, 1 one that may pass."""
    options = _parser().parse_args(arguments)
    try:
        return _fetch(options) if options.command == "fetch" else _pack(options)
    except FetchError as error:
        return _failed(error.reason, str(error), 3 if error.lasting else 1)
    except StoreError as error:
        found = FetchError.of_store(error)
        return _failed(found.reason, str(found), 3 if found.lasting else 1)
    except (ValueError, OSError) as error:
        return _failed("BadInput", str(error), 3)


def _fetch(options: argparse.Namespace) -> int:
    location = storage.locate(options.uri, secret=options.secret, root=options.root)
    manifest = fetch(location, options.digest, options.into)
    size = sum(file.size for file in manifest.files)
    print(f"fetched {options.uri}: {len(manifest.files)} files, {size:,} bytes, {options.digest}")
    return 0


def _pack(options: argparse.Namespace) -> int:
    # Needs onnxruntime, which fetch must not load: it runs before every serving pod.
    from redstart.artifacts.pack import pack  # noqa: PLC0415

    output = storage.locate(options.output, secret=options.secret, root=options.root)
    classes = json.loads(options.classes) if options.classes else None
    made = pack(options.folder, options.model, output, task=options.task, classes=classes)
    print(json.dumps({"uri": made.location.uri, "digest": made.digest, "format": "ONNX"}))
    return 0


def _failed(reason: str, message: str, code: int) -> int:
    print(f"{reason}: {message}", file=sys.stderr)
    termination.write(Report("Failed", reason, message))
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m redstart.artifacts", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    take = commands.add_parser("fetch", help="copy an artifact into a folder and verify it")
    take.add_argument("--uri", required=True, help="the artifact's folder, pvc://... or s3://...")
    take.add_argument("--digest", required=True, help="sha256:... of its manifest.json")
    take.add_argument("--into", required=True, type=Path, help="folder that will hold it, and nothing else")
    make = commands.add_parser("pack", help="make an artifact of model.onnx and rows.json")
    make.add_argument("folder", type=Path, help="holds model.onnx and rows.json, a list of raw rows")
    make.add_argument("--model", required=True, help="the model's name")
    make.add_argument("--output", required=True, help="the store, as in a TrainingJob's output.uri")
    make.add_argument("--task", choices=["Classification", "Regression"], default="Classification")
    make.add_argument("--classes", help="a classifier's labels in the order of its probabilities, as JSON")
    for command in (take, make):
        command.add_argument("--secret", help="name of the mounted Secret with the store's options")
        command.add_argument("--root", type=Path, help="where volumes and Secrets are mounted: /redstart")
    return parser


if __name__ == "__main__":
    termination.end_on_sigterm()
    sys.exit(main())
