"""Pods of the tests' own, as the Pod Security level "restricted" asks for."""

from __future__ import annotations

from typing import Any

from tests.e2e.kubernetes import Object

USER = 65532
"""The user of Redstart's images."""


def restricted(container: Object, **fields: Any) -> Object:
    """The spec of a pod of this one container; `fields` are further fields of it."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {
            "runAsNonRoot": True,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "imagePullPolicy": "IfNotPresent",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                **container,
            }
        ],
        **fields,
    }
