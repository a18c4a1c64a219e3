"""Where the API server is, read from a pod's files or a kubeconfig."""

import base64
import datetime
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from redstart.kube.credentials import CredentialsError, from_kubeconfig, from_service_account, load


@pytest.fixture(scope="module")
def pair() -> tuple[bytes, bytes]:
    """A certificate that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def kubeconfig(path: Path, cluster: dict[str, Any], user: dict[str, Any], **context: str) -> Path:
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", **context}}],
                "clusters": [{"name": "c", "cluster": {"server": "https://1.2.3.4:6443/", **cluster}}],
                "users": [{"name": "u", "user": user}],
            }
        )
    )
    return path


def test_a_service_account_is_read_from_its_files(tmp_path: Path, pair: tuple[bytes, bytes]) -> None:
    (tmp_path / "ca.crt").write_bytes(pair[0])
    (tmp_path / "namespace").write_text("redstart-system\n")
    (tmp_path / "token").write_text("secret\n")
    account = from_service_account({"KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path)
    assert account.server == "https://[fd00::1]:443"
    assert account.namespace == "redstart-system"
    assert account.authorization() == "Bearer secret"


def test_a_kubeconfig_with_data_inside(tmp_path: Path, pair: tuple[bytes, bytes]) -> None:
    certificate, key = (base64.b64encode(part).decode() for part in pair)
    user = {"client-certificate-data": certificate, "client-key-data": key}
    path = kubeconfig(
        tmp_path / "config", {"certificate-authority-data": certificate}, user, namespace="mine"
    )
    account = from_kubeconfig([path])
    assert account.server == "https://1.2.3.4:6443"
    assert account.namespace == "mine"
    assert account.authorization() is None
    assert account.ssl.check_hostname


def test_files_are_found_beside_the_kubeconfig(tmp_path: Path, pair: tuple[bytes, bytes]) -> None:
    (tmp_path / "ca.crt").write_bytes(pair[0])
    (tmp_path / "token").write_text("secret")
    path = kubeconfig(tmp_path / "config", {"certificate-authority": "ca.crt"}, {"tokenFile": "token"})
    account = from_kubeconfig([path])
    assert account.namespace == "default"
    assert account.authorization() == "Bearer secret"


def test_of_two_files_the_first_that_names_something_counts(tmp_path: Path) -> None:
    first = kubeconfig(tmp_path / "first", {"insecure-skip-tls-verify": True}, {"token": "first"})
    second = kubeconfig(tmp_path / "second", {}, {"token": "second"})
    account = from_kubeconfig([first, second])
    assert account.authorization() == "Bearer first"
    assert not account.ssl.check_hostname
    environment = {"KUBECONFIG": os.pathsep.join((str(first), str(second)))}
    assert load(environment).authorization() == "Bearer first"


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ({"exec": {"command": "aws"}}, "user 'u' of the kubeconfig gets its token from a program"),
        ({"auth-provider": {"name": "gcp"}}, "needs a token, a tokenFile or a client certificate"),
    ],
)
def test_a_token_from_a_program_is_refused(tmp_path: Path, user: dict[str, Any], message: str) -> None:
    with pytest.raises(CredentialsError, match=message):
        from_kubeconfig([kubeconfig(tmp_path / "config", {}, user)])


def test_a_missing_name_is_told(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", {}, {})
    path.write_text(path.read_text().replace("user: u", "user: other"))
    with pytest.raises(CredentialsError, match="context 'here' names 'other', which is not in users"):
        from_kubeconfig([path])


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="absent cannot be read"):
        from_kubeconfig([tmp_path / "absent"])
