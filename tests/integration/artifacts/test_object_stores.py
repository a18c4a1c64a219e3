"""Object stores that refuse, are wrong, or are not there; and a real S3 server behind a private authority."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from redstart.artifacts import storage
from redstart.artifacts.storage import Location, StoreError
from tests.cluster.control_plane import free_ports
from tests.cluster.pki import Authority
from tests.cluster.programs import program
from tests.integration.artifacts.servers import Behaviour, Request, secret, serving, tls

if TYPE_CHECKING:
    from obstore.store import RetryConfig

ONCE: RetryConfig = {"max_retries": 0, "retry_timeout": timedelta(seconds=5)}
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "SIGNING"}


def located(root: Path, endpoint: str, **keys: str) -> Location:
    name = secret(root, **{**KEYS, "AWS_ENDPOINT_URL": endpoint, **keys})
    return storage.locate("s3://bucket/k.csv", secret=name, root=root, retry=ONCE)


def refusing(status: int, code: str, message: str = "no") -> Behaviour:
    told = f"<Code>{code}</Code><Message>{message}</Message><StringToSign>SIGNING</StringToSign>"
    body = f"<?xml version='1.0'?><Error>{told}</Error>"
    return lambda request: request.answer(status, body.encode())


def read(location: Location) -> None:
    storage.read(location)


def listing(location: Location) -> None:
    storage.sizes(location)


def write(location: Location) -> None:
    storage.write(location, b"x")


def create(location: Location) -> None:
    storage.write(location, b"x", create=True)


def silent(request: Request) -> None:
    request.answer(body=b"4\r\na,b\n\r\n0\r\n\r\n", transfer_encoding="chunked")


Asked = Callable[[Location], None]


@pytest.mark.parametrize(
    ("behaviour", "asked", "reason", "problem"),
    [
        (refusing(403, "InvalidAccessKeyId"), read, "StoreDenied", "mend it in the Secret keys of secretRef"),
        (refusing(403, "InvalidAccessKeyId"), read, "StoreDenied", "does not know this AWS_ACCESS_KEY_ID"),
        (refusing(403, "SignatureDoesNotMatch"), write, "StoreDenied", "AWS_SECRET_ACCESS_KEY does not fit"),
        (refusing(403, "AccessDenied"), read, "StoreDenied", "may these credentials read the bucket"),
        (refusing(403, "AccessDenied"), create, "StoreDenied", "may these credentials write the bucket"),
        (refusing(401, "Unauthorized"), listing, "StoreDenied", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (refusing(400, "ExpiredToken"), read, "StoreDenied", "AWS_SESSION_TOKEN has expired"),
        (refusing(403, "RequestTimeTooSkewed"), read, "StoreDenied", "the clocks"),
        (refusing(404, "NoSuchBucket"), read, "NotFound", "there is no bucket bucket"),
        (refusing(404, "NoSuchBucket"), write, "NotFound", "there is no bucket bucket"),
        (refusing(404, "NoSuchKey"), read, "NotFound", "no such file"),
        (refusing(301, "PermanentRedirect"), read, "BadLocation", "set AWS_REGION in the Secret keys"),
        (refusing(400, "AuthorizationHeaderMalformed", "the region 'x' is wrong; expecting 'eu-1'"), read,
         "BadLocation", "AWS_REGION is not the bucket's region: it is eu-1"),
        (refusing(400, "InvalidRequest"), read, "BadLocation", "400 InvalidRequest: no; look at AWS_ENDPOINT_URL"),
        (refusing(501, "NotImplemented"), create, "StoreUnsupported", r"conditional writes \(If-None-Match\)"),
        (refusing(400, "InvalidArgument"), create, "StoreUnsupported", "conditional writes"),
        (lambda request: request.answer(405, b"<html>"), create, "BadLocation", "look at AWS_ENDPOINT_URL"),
        (refusing(409, "ConditionalRequestConflict"), create, "StoreUnreachable", "writes the same at this moment"),
        (refusing(412, "PreconditionFailed"), create, "AlreadyExists", "already there"),
        (refusing(507, "InsufficientStorage"), write, "DiskFull", "the store is full"),
        (refusing(400, "QuotaExceeded"), write, "DiskFull", "the store is full"),
        (refusing(503, "SlowDown"), read, "StoreUnreachable", "asks for fewer requests: 503 SlowDown"),
        (refusing(429, "TooManyRequests"), read, "StoreUnreachable", "asks for fewer requests"),
        (refusing(500, "InternalError"), write, "StoreUnreachable", "500 InternalError"),
        (silent, read, "BadLocation", "does not answer as S3 does; look at AWS_ENDPOINT_URL"),
        (lambda request: request.end(), read, "StoreUnreachable", "is AWS_ENDPOINT_URL right, and the store up"),
    ],
)  # fmt: skip
def test_what_a_store_answers(
    tmp_path: Path, behaviour: Behaviour, asked: Asked, reason: str, problem: str
) -> None:
    with serving(behaviour) as server, pytest.raises(StoreError, match=problem) as caught:
        asked(located(tmp_path, server.url))
    assert caught.value.reason == reason
    assert caught.value.lasting == (reason not in ("StoreUnreachable", "DiskFull", "AlreadyExists"))
    assert not caught.value.of_uri
    assert "SIGNING" not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "reason", "problem"),
    [
        (
            "http://nobody.invalid:9000",
            "StoreUnreachable",
            "the name in http://nobody.invalid:9000 cannot be resolved",
        ),
        (
            "http://localhost:1",
            "StoreUnreachable",
            "http://localhost:1 refuses the connection; is AWS_ENDPOINT_URL right",
        ),
    ],
)
def test_a_store_that_is_not_there(tmp_path: Path, endpoint: str, reason: str, problem: str) -> None:
    with pytest.raises(StoreError, match=problem) as caught:
        read(located(tmp_path, endpoint))
    assert caught.value.reason == reason


def test_a_store_without_tls(tmp_path: Path) -> None:
    with (
        serving(silent) as server,
        pytest.raises(StoreError, match="begin AWS_ENDPOINT_URL with http://") as caught,
    ):
        read(located(tmp_path, server.url.replace("http:", "https:")))
    assert caught.value.reason == "BadLocation"


@pytest.mark.parametrize(
    ("uri", "keys", "behaviour", "problem"),
    [
        pytest.param(
            "gs://bucket/k.csv",
            {"GOOGLE_SKIP_SIGNATURE": "true", "GOOGLE_BASE_URL": "{url}"},
            lambda request: request.answer(403, b'{"error": {"code": 403, "message": "no access"}}'),
            "403 Forbidden: no access; .* Mend GOOGLE_SERVICE_ACCOUNT_KEY in the Secret keys",
            id="Google, denied",
        ),
        pytest.param(
            "gs://bucket/k.csv",
            {"GOOGLE_SKIP_SIGNATURE": "true", "GOOGLE_BASE_URL": "{url}"},
            refusing(404, "NoSuchBucket"),
            "there is no bucket bucket",
            id="Google, no bucket",
        ),
        pytest.param(
            "az://box/k.csv",
            {
                "AZURE_STORAGE_ACCOUNT_NAME": "acc",
                "AZURE_STORAGE_ACCOUNT_KEY": "U0lHTklORw==",
                "AZURE_STORAGE_ENDPOINT": "{url}",
            },
            refusing(403, "AuthenticationFailed"),
            "403 AuthenticationFailed: no; .* Mend AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY",
            id="Azure, denied",
        ),
        pytest.param(
            "az://box/k.csv",
            {
                "AZURE_STORAGE_ACCOUNT_NAME": "acc",
                "AZURE_STORAGE_SAS_KEY": "sv=2022&sig=SIGNING",
                "AZURE_STORAGE_ENDPOINT": "{url}",
            },
            refusing(404, "ContainerNotFound"),
            "there is no container box",
            id="Azure, no container, with a signed query",
        ),
    ],
)
def test_the_other_stores(
    tmp_path: Path, uri: str, keys: dict[str, str], behaviour: Behaviour, problem: str
) -> None:
    with serving(behaviour) as server:
        name = secret(tmp_path, **{key: value.format(url=server.url) for key, value in keys.items()})
        with pytest.raises(StoreError, match=problem) as caught:
            read(storage.locate(uri, secret=name, root=tmp_path, retry=ONCE))
    assert "SIGNING" not in str(caught.value)
    assert caught.value.lasting


@pytest.mark.parametrize(
    ("uri", "keys", "endpoint"),
    [
        pytest.param(
            "s3://bucket/k.csv", {**KEYS, "AWS_ENDPOINT_URL": "minio:9000"}, "AWS_ENDPOINT_URL", id="S3"
        ),
        pytest.param(
            "az://box/k.csv",
            {
                "AZURE_STORAGE_ACCOUNT_NAME": "a",
                "AZURE_STORAGE_ACCOUNT_KEY": "enp6",
                "AZURE_STORAGE_ENDPOINT": "azurite:10000",
            },
            "AZURE_STORAGE_ENDPOINT",
            id="Azure",
        ),
    ],
)
def test_a_panic_of_the_library_is_an_error_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, keys: dict[str, str], endpoint: str
) -> None:
    # No endpoint of a wrong form comes as far any more: these are put behind the check.
    monkeypatch.setattr(
        "redstart.artifacts.stores.options._endpoint", lambda kind, place, option, found: found[option]
    )
    name = secret(tmp_path, **keys)
    with pytest.raises(
        StoreError, match=f"the library that speaks to .* cannot work with .*; look at {endpoint}"
    ) as caught:
        read(storage.locate(uri, secret=name, root=tmp_path, retry=ONCE))
    assert caught.value.reason == "BadLocation"


@pytest.mark.parametrize(
    ("host", "trusted", "problem"),
    [
        pytest.param(
            "localhost",
            False,
            "put the certificate of its authority .PEM. under the key ca.crt",
            id="unknown",
        ),
        pytest.param(
            "elsewhere", True, "it was issued for another name; mend the server's", id="another name"
        ),
    ],
)
def test_a_certificate_that_is_not_trusted(tmp_path: Path, host: str, trusted: bool, problem: str) -> None:
    context, authority = tls(tmp_path, host)
    keys = {"ca__crt": authority} if trusted else {}
    with (
        serving(silent, context) as server,
        pytest.raises(StoreError, match=f"certificate .*{problem}") as caught,
    ):
        read(located(tmp_path, server.url, **keys))
    assert caught.value.reason == "CertificateUntrusted"
    assert caught.value.lasting
    assert not caught.value.of_uri


def test_a_real_store_behind_a_private_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    pair = authority.issue("server", "server", hosts=["localhost"])
    (port,) = free_ports(1)
    (tmp_path / "data/bucket").mkdir(parents=True)
    (tmp_path / "metadata").mkdir()
    command = [program("versitygw"), "--port", f"127.0.0.1:{port}", "--access", "a", "--secret", "SIGNING"]
    folders = ["posix", "--sidecar", tmp_path / "metadata", tmp_path / "data"]
    with subprocess.Popen(
        [*command, "--cert", pair.certificate, "--key", pair.key, *folders],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as popen:
        try:
            certificate = authority.pair.certificate.read_text()
            place = located(
                tmp_path, f"https://localhost:{port}/", AWS_REGION="us-east-1", ca__crt=certificate
            )
            answered(place, popen)
            name = place.child("März 2026 100%.csv")
            storage.write(name, b"rows", create=True)
            assert storage.read(name) == b"rows"
            again = storage.locate(
                "s3://bucket/k.csv/März 2026 100%.csv", secret="keys", root=tmp_path, retry=ONCE
            )
            assert storage.read(again) == b"rows"
            with pytest.raises(StoreError) as caught:
                storage.write(name, b"other", create=True)
            assert caught.value.reason == "AlreadyExists"
            (tmp_path / "secrets/keys/ca.crt").unlink()
            with pytest.raises(StoreError) as caught:
                read(storage.locate("s3://bucket/k.csv", secret="keys", root=tmp_path, retry=ONCE))
            assert caught.value.reason == "CertificateUntrusted"
            (tmp_path / "secrets/keys/ca.crt").write_text(certificate)
            (tmp_path / "secrets/keys/AWS_SECRET_ACCESS_KEY").write_text("wrong")
            with pytest.raises(StoreError, match="AWS_SECRET_ACCESS_KEY does not fit"):
                read(storage.locate("s3://bucket/k.csv", secret="keys", root=tmp_path, retry=ONCE))
        finally:
            popen.terminate()


def answered(place: Location, popen: subprocess.Popen[bytes]) -> None:
    """Returns once the server answers."""
    deadline = time.monotonic() + 30
    while True:
        try:
            storage.sizes(place)
        except StoreError as error:
            if error.reason != "StoreUnreachable" or popen.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
