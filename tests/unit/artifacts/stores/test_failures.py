"""Texts of the library that no server on this machine can cause."""

from __future__ import annotations

import pytest
from obstore import exceptions

from redstart.artifacts.stores.failures import Context, store_error
from redstart.artifacts.stores.options import KINDS
from redstart.artifacts.stores.secrets import Secret

METADATA = "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 1s - "


@pytest.mark.parametrize(
    ("scheme", "keys", "text", "reason", "sentence"),
    [
        pytest.param(
            "s3", {"accesskey": b"x", "AWS_REGION": b"r"}, METADATA + "HTTP error: error sending", "StoreDenied",
            r"no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the Secret keys of secretRef "
            r"\(its keys accesskey are no options of S3\), or AWS_SKIP_SIGNATURE",
            id="a node without credentials of its own",
        ),
        pytest.param(
            "s3", {}, METADATA + "Server returned non-2xx status code: 404 Not Found: \n\nDebug source:", "StoreDenied",
            "no credentials", id="a node that has no role",
        ),
        pytest.param(
            "gs", {}, "Generic GCS error: Error performing token request: http://metadata.google.internal/x - HTTP",
            "StoreDenied", "set GOOGLE_SERVICE_ACCOUNT_KEY", id="a node outside Google",
        ),
        pytest.param(
            "az", {}, "Generic MicrosoftAzure error: HTTP error: error sending request for https://acc.blob/c?sig=SIGNING",
            "StoreUnreachable", "https://acc.blob cannot be reached", id="an address with a signature",
        ),
    ],
)  # fmt: skip
def test_texts(scheme: str, keys: dict[str, bytes], text: str, reason: str, sentence: str) -> None:
    secret = Secret("keys" if keys else None, keys)
    context = Context(f"{scheme}://place/x", "read", KINDS[scheme], "place", secret, {})
    error = store_error(exceptions.GenericError(text), context)
    assert error.reason == reason
    assert "SIGNING" not in str(error)
    with pytest.raises(type(error), match=sentence):
        raise error
