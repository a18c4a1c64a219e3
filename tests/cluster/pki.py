"""Keys and certificates of a cluster, kept as files and made again only when they no longer fit."""

import base64
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.cluster.files import write_atomically

LIFETIME = timedelta(days=3650)


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, both PEM files."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority in `folder`: `<name>.crt` and `<name>.key`, made where they are not both whole."""

    def __init__(self, folder: Path, name: str) -> None:
        self.pair = KeyPair(folder / f"{name}.crt", folder / f"{name}.key")
        kept = _kept(self.pair)
        if kept is None:
            key = ec.generate_private_key(ec.SECP256R1())
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
            usage = x509.KeyUsage(
                digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
                key_encipherment=False, data_encipherment=False, key_agreement=False,
                encipher_only=False, decipher_only=False,
            )  # fmt: skip
            certificate = (
                _builder(subject, subject, key)
                .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
                .add_extension(usage, critical=True)
                .sign(key, hashes.SHA256())
            )
            _write(self.pair, certificate, key)
            kept = certificate, key
        self._certificate, self._key = kept

    def issue(self, name: str, user: str, groups: Iterable[str] = (), hosts: Iterable[str] = ()) -> KeyPair:
        """A certificate for both ends of TLS: `user` and `groups` as Kubernetes reads them from the
        subject, `hosts` the names and addresses that it serves under. An existing one is kept while it
        says the same: a machine that comes back with another address gets a new one.
        """
        pair = KeyPair(self.pair.certificate.parent / f"{name}.crt", self.pair.key.parent / f"{name}.key")
        subject = x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in sorted(groups)]
            + [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        )
        # RFC 5280: the extension may not be empty, and a client needs none.
        names = x509.SubjectAlternativeName([_general_name(host) for host in sorted(hosts) or [name]])
        if not self._holds(pair, subject, names):
            key = ec.generate_private_key(ec.SECP256R1())
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
            certificate = (
                _builder(subject, self._certificate.subject, key)
                .add_extension(names, critical=False)
                .add_extension(usage, critical=False)
                .sign(self._key, hashes.SHA256())
            )
            _write(pair, certificate, key)
        return pair

    def _holds(self, pair: KeyPair, subject: x509.Name, names: x509.SubjectAlternativeName) -> bool:
        kept = _kept(pair)
        if kept is None:
            return False
        certificate, _ = kept
        try:
            certificate.verify_directly_issued_by(self._certificate)
        except Exception:  # whatever is wrong with it, it is of no use
            return False
        kept_names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return certificate.subject == subject and kept_names == names


def signing_key(folder: Path, name: str) -> tuple[Path, Path]:
    """The public and the private file of a key that signs ServiceAccount tokens."""
    public, private = folder / f"{name}.pub", folder / f"{name}.key"
    key = _kept_key(private)
    if key is None:
        key = ec.generate_private_key(ec.SECP256R1())
        _write_key(private, key)
    content = _public(key.public_key(), serialization.Encoding.PEM)
    if not public.exists() or public.read_bytes() != content:
        write_atomically(public, content)
    return public, private


def kubeconfig(path: Path, url: str, authority: KeyPair, user: KeyPair) -> Path:
    """Write a kubeconfig that holds its certificates itself, so that it can be copied anywhere."""

    def data(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "redstart",
                "cluster": {"server": url, "certificate-authority-data": data(authority.certificate)},
            }
        ],
        "users": [
            {
                "name": path.stem,
                "user": {
                    "client-certificate-data": data(user.certificate),
                    "client-key-data": data(user.key),
                },
            }
        ],
        "contexts": [{"name": "redstart", "context": {"cluster": "redstart", "user": path.stem}}],
        "current-context": "redstart",
    }
    text = yaml.safe_dump(content, sort_keys=False)
    if not path.exists() or path.read_text() != text:
        write_atomically(path, text.encode(), mode=0o600)
    return path


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _kept(pair: KeyPair) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """What the files hold, or None where one is missing, is not whole, or is not of the other: both are written one
    after the other, and whoever writes them may be ended in between.
    """
    key = _kept_key(pair.key)
    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if key is None or _public(key.public_key()) != _public(certificate.public_key()):
        return None
    return certificate, key


def _kept_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (FileNotFoundError, ValueError):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _public(
    key: CertificatePublicKeyTypes, encoding: serialization.Encoding = serialization.Encoding.DER
) -> bytes:
    return key.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def _write(pair: KeyPair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    _write_key(pair.key, key)
    write_atomically(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM))


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    content = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_atomically(path, content, mode=0o600)
