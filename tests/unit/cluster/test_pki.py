"""Certificates are kept while they fit, and made anew when the machine has another address."""

from pathlib import Path

import yaml
from cryptography import x509
from tests.cluster.pki import Authority, kubeconfig


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


def test_keys_are_for_the_owner_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    user = authority.issue("user", "someone")
    config = kubeconfig(tmp_path / "user.kubeconfig", "https://127.0.0.1:1", authority.pair, user)
    assert {file.stat().st_mode & 0o777 for file in (authority.pair.key, user.key, config)} == {0o600}
    assert yaml.safe_load(config.read_text())["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
