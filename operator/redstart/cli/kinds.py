"""The three kinds, by every name that a user may type for them."""

from __future__ import annotations

from dataclasses import dataclass

from redstart.cli.errors import CliError


@dataclass(frozen=True)
class Kind:
    """One kind of custom resource."""

    name: str
    plural: str
    short: str

    def path(self, namespace: str, name: str | None = None) -> str:
        """URL path of the collection in a namespace, or of an object in it."""
        collection = f"/apis/redstart.dev/v1alpha1/namespaces/{namespace}/{self.plural}"
        return f"{collection}/{name}" if name else collection


TRAINING_JOB = Kind("TrainingJob", "trainingjobs", "tjob")
MODEL_VERSION = Kind("ModelVersion", "modelversions", "mver")
INFERENCE_SERVICE = Kind("InferenceService", "inferenceservices", "infsvc")

_BY_NAME = {
    name: kind
    for kind in (TRAINING_JOB, MODEL_VERSION, INFERENCE_SERVICE)
    for name in (kind.short, kind.plural, kind.name.lower())
}


def named(text: str) -> tuple[Kind, str]:
    """Kind and name of `NAME` (an InferenceService) or `KIND/NAME`.

    Raises:
        CliError: another kind, or no name.
    """
    typed, slash, name = text.rpartition("/")
    kind = _BY_NAME.get(typed.lower().removesuffix(".redstart.dev")) if slash else INFERENCE_SERVICE
    if kind is None:
        raise CliError(f'"{typed}" is no kind of Redstart\'s', "Use infsvc/NAME, tjob/NAME or mver/NAME.")
    if not name:
        raise CliError(f'"{text}" names no object', f"Write {kind.short}/NAME.")
    return kind, name
