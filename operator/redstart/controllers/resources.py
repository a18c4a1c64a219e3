"""CPU and memory of a container, from what its object names and what the operator's settings say. Pure."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from redstart.api.v1alpha1.common import Resources

Object = dict[str, Any]

# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/, as far as the API takes it
_UNITS = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGT", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGT", start=1)},
}
_QUANTITY = re.compile(r"([0-9.]+)([A-Za-z]*)")


def quantity(text: str) -> Decimal:
    """The number that a quantity such as 500m, 2 or 4Gi stands for."""
    found = _QUANTITY.fullmatch(text)
    if found is None or found[2] not in _UNITS:
        raise ValueError(f"{text!r} is no quantity such as 500m, 2 or 4Gi")
    return Decimal(found[1]) * _UNITS[found[2]]


def merged(named: Resources, default: Object) -> Object:
    """What the object names; of the rest the default, as far as it does not contradict: a limit is never below a
    request, and a request never above a limit, that the object names."""
    requests, limits = dict(named.requests or {}), dict(named.limits or {})
    for name, value in default.get("limits", {}).items():
        if name not in limits:
            asked = requests.get(name, value)
            limits[name] = max(value, asked, key=quantity)
    for name, value in default.get("requests", {}).items():
        if name not in requests:
            requests[name] = min(value, limits.get(name, value), key=quantity)
    return {key: value for key, value in (("requests", requests), ("limits", limits)) if value}
