"""CPU and memory: what an object names, and what the settings add."""

from __future__ import annotations

from typing import Any

import pytest

from redstart.api.v1alpha1.common import Resources
from redstart.controllers.resources import merged, quantity
from redstart.settings import ContainerResources

DEFAULT = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        pytest.param({}, DEFAULT, id="nothing named is the default"),
        pytest.param(
            {"limits": {"memory": "512Mi"}},
            {"requests": DEFAULT["requests"], "limits": {"cpu": "1", "memory": "512Mi"}},
            id="what is not named comes from the default, so that a quota is met",
        ),
        pytest.param(
            {"requests": {"cpu": "4", "memory": "2Gi"}},
            {"requests": {"cpu": "4", "memory": "2Gi"}, "limits": {"cpu": "4", "memory": "2Gi"}},
            id="a limit is never below a request",
        ),
        pytest.param(
            {"limits": {"cpu": "50m", "memory": "100M"}},
            {"requests": {"cpu": "50m", "memory": "100M"}, "limits": {"cpu": "50m", "memory": "100M"}},
            id="a request is never above a limit",
        ),
        pytest.param(
            {"limits": {"nvidia.com/gpu": "1"}},
            {"requests": DEFAULT["requests"], "limits": DEFAULT["limits"] | {"nvidia.com/gpu": "1"}},
            id="another resource is kept",
        ),
    ],
)
def test_merged(named: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert merged(Resources.model_validate(named), DEFAULT) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("500m", 0.5),
        ("2", 2),
        ("1.5", 1.5),
        ("1k", 1000),
        ("1Ki", 1024),
        ("4Gi", 4 * 1024**3),
        ("1T", 10**12),
    ],
)
def test_quantity(text: str, wanted: float) -> None:
    assert quantity(text) == wanted


@pytest.mark.parametrize("name", ContainerResources.model_fields)
def test_by_default_every_container_meets_a_quota_and_a_small_limit_range(name: str) -> None:
    needs = getattr(ContainerResources(), name)
    assert set(needs.requests) == set(needs.limits) == {"cpu", "memory"}
    assert quantity(needs.requests["cpu"]) >= quantity("50m")
    assert quantity(needs.limits["memory"]) <= quantity("2Gi")
