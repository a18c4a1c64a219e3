"""How far the fit of an ensemble is, told by the members that it has so far."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import joblib
from joblib.parallel import ThreadingBackend

_FORESTS = "sklearn.ensemble._forest"


class Members:
    """The members of one estimator, while another thread fits it."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._ended = 0
        parameters = estimator.get_params(deep=False)
        self._wanted = parameters.get("n_estimators", parameters.get("max_iter"))

    def done(self, seconds: float) -> float | None:
        """The share of the members that are fitted; None for what is no ensemble."""
        del seconds
        if not isinstance(self._wanted, int) or self._wanted < 1:
            return None
        members = self._ended or self._one_by_one()
        return None if members is None else members / self._wanted

    def counted(self) -> AbstractContextManager[Any]:
        """Members that are fitted side by side appear only when all are: their tasks are counted as they end."""
        if not type(self._estimator).__module__.startswith(_FORESTS):
            return nullcontext()
        config: AbstractContextManager[Any] = joblib.parallel_config(backend=_Threads(self._count))
        return config

    def _count(self, members: int) -> None:
        self._ended += members

    def _one_by_one(self) -> int | None:
        # Boosting by histograms keeps its trees here, AdaBoost and gradient boosting there, the last in an array that
        # is filled row by row.
        for name in ("_predictors", "estimators_"):
            members = getattr(self._estimator, name, None)
            if isinstance(members, list):
                return len(members)
            if members is not None and getattr(members, "ndim", 0) == 2:
                return sum(member is not None for member in members[:, 0].tolist())
        return None


class _Threads(ThreadingBackend):  # type: ignore[misc]
    """joblib's threads, which scikit-learn's forests ask for, and a count of the trees that have ended."""

    def __init__(self, count: Callable[[int], None], **options: Any) -> None:
        super().__init__(**options)
        self._count = count

    def submit(self, func: Any, callback: Callable[[Any], Any] | None = None) -> Any:
        """As joblib calls it, with a batch of tasks."""

        def ended(result: Any) -> Any:
            self._count(len(func))
            return callback(result) if callback else None

        return super().submit(func, ended)
