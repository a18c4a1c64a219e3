"""InferenceServices, and what they answer."""

from __future__ import annotations

import httpx

from tests.e2e.kubernetes import Kubernetes, Object, eventually, is_ready

MOST_ROWS = 1000
"""Rows that one request may hold."""


def inference_service(name: str, *, model: str, version: str | None = None) -> Object:
    """An InferenceService that follows a model, or is pinned to a version of it."""
    return {
        "apiVersion": "redstart.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {
            "model": {"name": model} | ({"version": version} if version else {}),
            "predictor": {"resources": {"requests": {"cpu": "50m", "memory": "64Mi"}}},
        },
    }


def serve(cluster: Kubernetes, model: str) -> None:
    """Apply an InferenceService of that name that follows the model, and wait until it is ready."""
    cluster.apply(inference_service(model, model=model))
    eventually(lambda: is_ready(cluster.get("InferenceService", model)), f"InferenceService {model} is ready")


def predict(cluster: Kubernetes, service: str, rows: list[Object]) -> Object:
    """What the service answers to rows as clients send them."""
    assert len(rows) <= MOST_ROWS

    def ask() -> httpx.Response | None:
        answer = cluster.service("POST", service, "/predict", {"rows": rows})
        # Of the API server's proxy: the Service's endpoints may be behind the pod's readiness.
        return None if answer.status_code == 503 else answer

    answer = eventually(ask, f"an answer of {service}")
    assert answer.status_code == 200, answer.text
    found: Object = answer.json()
    return found
