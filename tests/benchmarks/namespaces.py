"""A namespace for a benchmark."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.kubernetes import Kubernetes
from tests.e2e.store import namespace


@contextmanager
def new_namespace(kubernetes: Kubernetes, purpose: str) -> Iterator[Kubernetes]:
    """A new namespace, deleted at the end."""
    name = f"redstart-benchmark-{purpose}-{uuid.uuid4().hex[:6]}"
    kubernetes.apply(namespace(name))
    try:
        yield kubernetes.within(name)
    finally:
        kubernetes.delete("Namespace", name)
