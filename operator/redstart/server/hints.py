"""What to send instead, for bodies and paths of other servers' protocols."""

from __future__ import annotations

import msgspec

_PREDICT = "rows (objects by input name), instances (lists) or features (one list)"
_KEYS = {
    "dataframe_split": "MLflow's `dataframe_split` is not read here: send {PREDICT}",
    "dataframe_records": "MLflow's `dataframe_records` are `rows` here",
    "columns": "a pandas split is not read here: send pandas' to_dict('records') as `rows`",
    "data": "`data` is not read here: send {PREDICT}",
    "ndarray": "`ndarray` is not read here: send {PREDICT}",
    "records": "`records` are `rows` here",
    "instance": "`instance` is `features` here",
    "inputs": "`inputs` belong to the Open Inference Protocol: POST them to {INFER}",
    "rows": "`rows` belong to POST /predict",
    "instances": "`instances` belong to POST /predict, or to KServe's POST {V1}",
    "features": "`features` belong to POST /predict",
}
_FIRST_KEYS = 1000
"""Keys of a body that are looked at."""


class Hints:
    """Hints for one model's paths."""

    def __init__(self, model: str) -> None:
        self.infer = f"/v2/models/{model}/infer"
        self.v1 = f"/v1/models/{model}:predict"

    def of_body(self, body: bytes, *own: str) -> str:
        """A sentence to be put behind an error, or nothing, by the first key that another protocol is known by.

        `own`: keys that belong where the body was sent."""
        try:
            found = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return ""
        for key in list(found)[:_FIRST_KEYS]:
            if key not in own and (hint := _KEYS.get(key)):
                return "; " + hint.format(PREDICT=_PREDICT, INFER=self.infer, V1=self.v1)
        return ""

    def of_path(self, path: str) -> str:
        """Where a request to a path that is not there belongs."""
        if path == "/invocations" or path.endswith(("/predict", ":predict", ":classify", ":regress")):
            return f"; predictions are at POST /predict, {self.v1} and {self.infer}"
        if path.endswith("/infer") or path.startswith(("/v2/", "/v1/")):
            return f"; this model is at {self.infer}, {self.v1} and /predict"
        return ""
