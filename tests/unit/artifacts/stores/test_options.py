"""What becomes of the keys of a Secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from redstart.artifacts import storage
from redstart.artifacts.storage import StoreError
from redstart.artifacts.stores.options import KINDS, options
from redstart.artifacts.stores.secrets import Secret

KEYS = {"AWS_ACCESS_KEY_ID": b"a", "AWS_SECRET_ACCESS_KEY": b"b"}


def told(scheme: str, keys: dict[str, bytes], environment: dict[str, str] | None = None) -> dict[str, str]:
    return options(
        KINDS[scheme],
        "bucket",
        Secret("keys", keys),
        lambda option: "BUCKTE" not in option,
        environment or {},
    )


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        pytest.param({"AWS_REGION": b"eu-1\n"}, {"aws_region": "eu-1"}, id="a line break at the end"),
        pytest.param({"aws_region": b" eu-1 "}, {"aws_region": "eu-1"}, id="small letters and blanks"),
        pytest.param(
            {"AWS_REGION": b"\xef\xbb\xbfeu-1\r\n"}, {"aws_region": "eu-1"}, id="an editor's byte order mark"
        ),
        pytest.param(
            {"AWS_REGION": b"eu-1", "AWS_SESSION_TOKEN": b""}, {"aws_region": "eu-1"}, id="an empty value"
        ),
        pytest.param(
            {"AWS_REGION": b"eu-1", "README": b"x", "tls.key": b"\xff\x00", "username": b"u"},
            {"aws_region": "eu-1"},
            id="keys that are no options, also such that are no text",
        ),
        pytest.param(
            {"AWS_REGION": b"eu-1", "AWS_BUCKET": b"other"},
            {"aws_region": "eu-1"},
            id="the URI names the bucket",
        ),
        pytest.param({"ca.crt": b"x"}, {}, id="a certificate alone"),
        pytest.param(
            {"AWS_ENDPOINT_URL": b"http://minio:9000/"},
            {"aws_endpoint_url": "http://minio:9000", "aws_allow_http": "true"},
            id="an http endpoint says that http is meant",
        ),
        pytest.param(
            {"AWS_ENDPOINT_URL": b"https://s3.example.com//"},
            {"aws_endpoint_url": "https://s3.example.com"},
            id="slashes at the end",
        ),
        pytest.param(
            {"AWS_ENDPOINT_URL": b"https://s3.example.com", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": b"true"},
            {"aws_endpoint_url": "https://bucket.s3.example.com", "aws_virtual_hosted_style_request": "true"},
            id="virtual-hosted style",
        ),
    ],
)
def test_keys_that_are_taken(keys: dict[str, bytes], expected: dict[str, str]) -> None:
    assert told("s3", keys) == expected


def test_an_endpoint_of_the_environment_is_looked_at_too() -> None:
    assert told("s3", KEYS, {"AWS_ENDPOINT_URL": "http://minio:9000/"})["aws_allow_http"] == "true"
    with pytest.raises(StoreError, match="AWS_ENDPOINT_URL must have the form"):
        told("s3", KEYS, {"AWS_ENDPOINT_URL": "minio:9000"})


@pytest.mark.parametrize(
    "value",
    ["minio:9000", "minio", "http://", "://x", "http:/minio:9000", "//minio", "ftp://x", "http://a b", "http://h:99999",
     "127.0.0.1:9000", '"http://minio:9000"', "https://u:p@h", "https://h?x=1"],
)  # fmt: skip
@pytest.mark.parametrize(
    ("scheme", "option"),
    [("s3", "AWS_ENDPOINT_URL"), ("gs", "GOOGLE_BASE_URL"), ("az", "AZURE_STORAGE_ENDPOINT")],
)
def test_an_endpoint_of_another_form_is_named(scheme: str, option: str, value: str) -> None:
    with pytest.raises(
        StoreError, match=f"{option} must have the form http://host:port or https://host"
    ) as caught:
        told(scheme, {option: value.encode()})
    assert caught.value.reason == "BadLocation"
    assert not caught.value.of_uri, "a Secret that is mended heals a version"
    assert "u:p@" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        pytest.param({"AWS_BUCKTE": b"x"}, "AWS_BUCKTE is an unknown option", id="a misspelled option"),
        pytest.param(
            {"accesskey": b"x", "secretkey": b"y"}, "it has accesskey, secretkey", id="no option at all"
        ),
        pytest.param({}, "it has no keys", id="an empty Secret"),
        pytest.param(
            {"AWS_SECRET_ACCESS_KEY": b"a\nb"}, "AWS_SECRET_ACCESS_KEY holds a line break", id="two lines"
        ),
        pytest.param({"AWS_REGION": b"\xff"}, "AWS_REGION is no text", id="bytes"),
        pytest.param(
            {"AWS_ENDPOINT_URL": b"https://bucket.s3.example.com"},
            "AWS_ENDPOINT_URL begins with the bucket's name",
            id="an endpoint with the bucket in front",
        ),
        pytest.param(
            {"AWS_ENDPOINT_URL": b"https://s3.example.com/bucket/"},
            "AWS_ENDPOINT_URL ends in the bucket's name",
            id="an endpoint with the bucket behind",
        ),
        pytest.param(
            {"AWS_ENDPOINT_URL": b"http://h", "AWS_ALLOW_HTTP": b"false"},
            "AWS_ALLOW_HTTP is false",
            id="http that is not allowed",
        ),
    ],
)
def test_keys_that_are_refused(keys: dict[str, bytes], problem: str) -> None:
    with pytest.raises(StoreError, match=problem) as caught:
        told("s3", keys)
    assert caught.value.lasting


GARBAGE = b"-----BEGIN CERTIFICATE-----\nxxx\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("uri", "keys", "problem"),
    [
        pytest.param("s3://b/x", {"AWS_ACCES_KEY": b"x"}, "did you mean AWS_ACCESS_KEY_ID", id="misspelled, s3"),
        pytest.param("s3://b/x", {"AWS_CA_BUNDLE": b"/x"}, "under the key ca.crt", id="where other tools have a CA"),
        pytest.param("gs://b/x", {"GOOGLE_SERVICE_ACCOUNT_KYE": b"x"}, "ACCOUNT_KEY", id="misspelled, gs"),
        pytest.param("az://b/x", {"AZURE_STORAGE_ACOUNT_KEY": b"x"}, "AZURE_STORAGE_ACCOUNT_KEY", id="misspelled, az"),
        pytest.param("s3://b/x", {**KEYS, "AWS_SKIP_SIGNATURE": b"maybe"}, "AWS_SKIP_SIGNATURE", id="no yes or no"),
        pytest.param("s3://b/x", {**KEYS, "AWS_TIMEOUT": b"soon"}, "AWS_TIMEOUT", id="no time"),
        pytest.param("gs://b/x", {"GOOGLE_SERVICE_ACCOUNT_KEY": b"{"}, "GOOGLE_SERVICE_ACCOUNT_KEY", id="no JSON"),
        pytest.param("az://b/x", {"AZURE_STORAGE_ACCOUNT_NAME": b"a", "AZURE_STORAGE_ACCOUNT_KEY": b"SECRET"},
                     "AZURE_STORAGE_ACCOUNT_KEY", id="no base64"),
        pytest.param("az://b/x", {"AZURE_SKIP_SIGNATURE": b"true"}, "AZURE_STORAGE_ACCOUNT_NAME", id="no account"),
        pytest.param("s3://b/x", {**KEYS, "ca.crt": b"secret"}, "ca.crt holds no certificate", id="no PEM"),
        pytest.param("s3://b/x", {**KEYS, "ca.crt": GARBAGE}, "ca.crt holds a certificate that cannot be read",
                     id="PEM that is none"),
        pytest.param("https://h/x", {"ca.crt": GARBAGE}, "ca.crt holds a certificate that cannot be read",
                     id="PEM that is none, over https"),
        pytest.param("https://h/x", {"AWS_ACCESS_KEY_ID": b"x"}, "takes the key TOKEN, or USERNAME and PASSWORD",
                     id="keys that say nothing to a web server"),
        pytest.param("https://h/x", {"username": b"x"}, "takes the key TOKEN", id="a user without a password"),
        pytest.param("https://h/x", {"TOKEN": "tökn".encode()}, "other characters than ASCII", id="an umlaut"),
        pytest.param("http://h/x", {"TOKEN": b"SECRET"}, "for everybody to read; use https", id="a token over http"),
    ],
)  # fmt: skip
def test_options_that_the_library_refuses_are_named(
    tmp_path: Path, uri: str, keys: dict[str, bytes], problem: str
) -> None:
    folder = tmp_path / "secrets/keys"
    folder.mkdir(parents=True)
    for key, value in keys.items():
        (folder / key).write_bytes(value)
    with pytest.raises(StoreError, match=problem) as caught:
        storage.locate(uri, secret="keys", root=tmp_path)
    assert caught.value.lasting
    assert not caught.value.of_uri
    assert "SECRET" not in str(caught.value).replace("AWS_SECRET", "")
