"""Certificates are kept while they fit, and made anew when the machine has another address."""

import ssl
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from tests.cluster.pki import Authority, kubeconfig, signing_key


def names(path: Path) -> list[str]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in found]


def test_a_certificate_that_fits_is_kept(tmp_path: Path) -> None:
    first = Authority(tmp_path, "ca").issue("node", "system:node:a", ["system:nodes"], ["192.0.2.1"])
    before = first.certificate.read_bytes()
    again = Authority(tmp_path, "ca").issue("node", "system:node:a", ["system:nodes"], ["192.0.2.1"])
    assert again.certificate.read_bytes() == before


def test_another_address_makes_another_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    authority.issue("node", "system:node:a", hosts=["192.0.2.1"])
    assert names(authority.issue("node", "system:node:a", hosts=["192.0.2.2"]).certificate) == ["192.0.2.2"]


def test_another_group_makes_another_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    before = authority.issue("user", "someone").certificate.read_bytes()
    assert authority.issue("user", "someone", ["system:masters"]).certificate.read_bytes() != before


def test_a_certificate_of_a_lost_authority_is_replaced(tmp_path: Path) -> None:
    before = Authority(tmp_path, "ca").issue("user", "someone").certificate.read_bytes()
    (tmp_path / "ca.key").unlink()
    assert Authority(tmp_path, "ca").issue("user", "someone").certificate.read_bytes() != before


@pytest.mark.parametrize("name", ["ca.crt", "ca.key", "user.crt", "user.key"])
@pytest.mark.parametrize("left", [0, 40], ids=["empty", "half"])
def test_what_was_not_written_to_its_end_is_made_anew(tmp_path: Path, name: str, left: int) -> None:
    Authority(tmp_path, "ca").issue("user", "someone")
    broken = tmp_path / name
    broken.write_bytes(broken.read_bytes()[:left])
    made = Authority(tmp_path, "ca").issue("user", "someone")
    authority, user = (
        x509.load_pem_x509_certificate(path.read_bytes()) for path in (tmp_path / "ca.crt", made.certificate)
    )
    user.verify_directly_issued_by(authority)
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(made.certificate, made.key)
    assert Authority(tmp_path, "ca").issue("user", "someone") == made


@pytest.mark.parametrize("name", ["ca", "user"])
def test_a_certificate_of_another_key_is_made_anew(tmp_path: Path, name: str) -> None:
    Authority(tmp_path, "ca").issue("user", "someone")
    Authority(tmp_path / "other", "ca").issue("user", "someone")
    (tmp_path / "other" / f"{name}.key").rename(tmp_path / f"{name}.key")
    before = (tmp_path / f"{name}.crt").read_bytes()
    Authority(tmp_path, "ca").issue("user", "someone")
    assert (tmp_path / f"{name}.crt").read_bytes() != before


@pytest.mark.parametrize("name", ["tokens.pub", "tokens.key"])
@pytest.mark.parametrize("left", [None, 40], ids=["missing", "half"])
def test_the_two_files_of_a_signing_key_belong_together(tmp_path: Path, name: str, left: int | None) -> None:
    signing_key(tmp_path, "tokens")
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    if left is not None:
        (tmp_path / name).write_bytes(content[:left])
    public, private = signing_key(tmp_path, "tokens")
    key = serialization.load_pem_private_key(private.read_bytes(), password=None)
    assert serialization.load_pem_public_key(public.read_bytes()) == key.public_key()


def test_keys_are_for_the_owner_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    user = authority.issue("user", "someone")
    config = kubeconfig(tmp_path / "user.kubeconfig", "https://127.0.0.1:1", authority.pair, user)
    assert {file.stat().st_mode & 0o777 for file in (authority.pair.key, user.key, config)} == {0o600}
    assert yaml.safe_load(config.read_text())["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
