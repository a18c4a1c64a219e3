"""One loaded model with its two ways of being asked."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import msgspec

from redstart.artifacts.predictor import Model
from redstart.server.hints import Hints
from redstart.server.ignored import IgnoredInputs
from redstart.server.inference import Answers, answer
from redstart.server.loading import Artifact
from redstart.server.open_inference import OpenInference
from redstart.server.openapi import document
from redstart.server.rows import RowDecoder, Rows

_encode = msgspec.json.Encoder().encode


class Answered(NamedTuple):
    """The body for the client, and the rows and answers to be counted."""

    body: bytes
    rows: Rows
    answers: Answers
    json_length: int | None = None
    """Of the body's JSON, where tensors in binary follow it."""


class Service:
    """Answers /predict and infer requests with one artifact's model, under a name and a version."""

    def __init__(
        self, artifact: Artifact, model: Model, name: str, version: str, ignored: Collection[str] = ()
    ) -> None:
        """`ignored` are inputs that clients may go on sending though the model does not use them."""
        self.artifact = artifact
        self.model = model
        hints, unused = Hints(name), IgnoredInputs(ignored, artifact.manifest)
        self.rows = RowDecoder(artifact.manifest, hints, unused)
        self._manifest = artifact.manifest
        self._open_inference = OpenInference(artifact.manifest, name, version, hints, unused)
        self.metadata = _encode(self._open_inference.metadata())
        self.openapi = _encode(document(artifact.manifest, artifact.reference, name, version, unused.names))
        # The end of every answer to /predict, encoded once.
        self._suffix = b',"model":' + _encode(name) + b',"version":' + _encode(version) + b"}"

    def predict(self, body: bytes, json_length: int | None = None) -> Answered:
        """Answer a request to /predict, which is all JSON.

        Raises:
            InputError: the request is wrong. ModelError: the model failed.
        """
        rows = self.rows.decode(body)
        answers = answer(self._manifest, self.model, rows.tensors)
        predictions, probabilities = answers
        content = b'{"prediction":' + _encode(predictions[0] if rows.single else predictions)
        if probabilities is not None:
            content += b',"probabilities":' + _encode(probabilities[0] if rows.single else probabilities)
        return Answered(content + self._suffix, rows, answers)

    def infer(self, body: bytes, json_length: int | None = None) -> Answered:
        """Answer an infer request of the Open Inference Protocol; `json_length` as the client's header says.

        Raises:
            InputError: the request is wrong. ModelError: the model failed.
        """
        request, rows = self._open_inference.decode(body, json_length)
        answers = answer(self._manifest, self.model, rows.tensors)
        encoded = self._open_inference.encode(request, answers)
        return Answered(encoded.body, rows, answers, encoded.json_length)

    def predict_v1(self, body: bytes, json_length: int | None = None) -> Answered:
        """Answer a request of KServe's V1 protocol: `instances`, each a list or an object by input name.

        Raises:
            InputError: the request is wrong. ModelError: the model failed.
        """
        rows = self.rows.decode_v1(body)
        answers = answer(self._manifest, self.model, rows.tensors)
        return Answered(b'{"predictions":' + _encode(answers.predictions) + b"}", rows, answers)
