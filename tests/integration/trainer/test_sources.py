"""Sources other than volumes and buckets: https and ConfigMaps."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from redstart.cli.sample_data import generate
from tests.integration.artifacts.servers import Behaviour, Request, serving, tls
from tests.integration.trainer.conftest import Place

SPEC: dict[str, Any] = {
    "task": "Classification",
    "data": {"target": "machine_failure", "features": {"exclude": ["recorded_at", "machine_id"]}},
    "algorithm": {"estimator": "LogisticRegression"},
}


def certificate(folder: Path) -> tuple[Path, Path]:
    """The certificate of an authority, and a certificate for 127.0.0.1 by it together with its key."""
    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issued = signed("authority", authority, authority).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    leaf = signed("server", server, authority).add_extension(names, critical=False)
    private = server.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = [
        made.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        for made in (issued, leaf)
    ]
    (folder / "authority.pem").write_bytes(pem[0])
    (folder / "server.pem").write_bytes(pem[1] + private)
    return folder / "authority.pem", folder / "server.pem"


def signed(
    name: str, key: ec.EllipticCurvePrivateKey, authority: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False
        )
    )


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Requests are no part of the test's output."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """The address of an HTTPS server that this process trusts, and the folder that it serves."""
    folder = tmp_path / "site"
    folder.mkdir()
    authority, path = certificate(tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    yield f"https://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


def test_rows_over_https(site: tuple[str, Path], volume: Place) -> None:
    address, folder = site
    (folder / "deep").mkdir()
    pl.DataFrame(generate(rows=600)).write_csv(folder / "deep/rows.csv")
    data = {**SPEC["data"], "sources": [{"uri": f"{address}/deep/rows.csv"}]}
    run = volume.run({**SPEC, "data": data})
    assert (run.code, run.report.result, run.report.rows) == (0, "Succeeded", 600), run.output


def test_a_page_that_is_not_there(site: tuple[str, Path], volume: Place) -> None:
    run = volume.run({**SPEC, "data": {**SPEC["data"], "sources": [{"uri": f"{site[0]}/none.csv"}]}})
    assert (run.code, run.report.reason) == (3, "SourceNotFound"), run.output
    assert f"{site[0]}/none.csv" in run.report.message


def test_rows_of_a_config_map_after_rows_of_a_volume(volume: Place) -> None:
    rows = pl.DataFrame(generate(rows=600))
    volume.put("rows.csv", rows.head(400))
    # As the kubelet mounts it: keys are links into a dated folder.
    folder = volume.root / "configmaps/more"
    (folder / "..2026").mkdir(parents=True)
    rows.tail(200).write_csv(folder / "..2026/rows.csv")
    (folder / "..data").symlink_to("..2026")
    (folder / "rows.csv").symlink_to("..data/rows.csv")
    sources = [{"uri": "pvc://claim/data/rows.csv"}, {"uri": "configmap://more/rows.csv"}]
    run = volume.run({**SPEC, "data": {**SPEC["data"], "sources": sources}})
    assert (run.code, run.report.result, run.report.rows) == (0, "Succeeded", 600), run.output


SIGNED = "X-Signature=c2VjcmV0"


def test_rows_by_a_signed_query_that_no_message_and_no_store_holds(volume: Place) -> None:
    rows = pl.DataFrame(generate(rows=600)).write_csv().encode()

    def answer(request: Request) -> None:
        request.answer(403, b"") if request.command == "HEAD" else request.answer(
            body=rows, content_disposition="attachment; filename=rows.csv"
        )

    with serving(answer) as server:
        first, again = (
            volume.run(
                {
                    **SPEC,
                    "data": {**SPEC["data"], "sources": [{"uri": f"{server.url}/download?id=3&{signed}"}]},
                }
            )
            for signed in (SIGNED, "X-Signature=YW5vdGhlcg")
        )
        assert (first.code, first.report.result, first.report.rows) == (0, "Succeeded", 600), first.output
        assert again.report.result == "SameInputs", "another signature is the same rows"
        assert server.seen[0][1].endswith(SIGNED)
    stored = [path.read_bytes() for path in volume.folder.rglob("*") if path.is_file()]
    assert not [content for content in stored if b"c2VjcmV0" in content]
    assert "c2VjcmV0" not in first.output


def test_a_format_says_that_a_file_without_an_ending_is_csv(volume: Place) -> None:
    rows = pl.DataFrame(generate(rows=600)).write_csv(separator=";").encode()
    with serving(lambda request: request.answer(body=rows)) as server:
        sources = [{"uri": f"{server.url}/download?id=3", "format": {"separator": ";"}}]
        run = volume.run({**SPEC, "data": {**SPEC["data"], "sources": sources}})
    assert (run.code, run.report.rows) == (0, 600), run.output


@pytest.mark.parametrize(
    ("answer", "code", "reason", "message"),
    [
        pytest.param(
            lambda request: request.answer(body=b"<!DOCTYPE html><html>Log in</html>", content_type="text/csv"),
            3, "SourceInvalid", "answers with a web page", id="a page to log in at",
        ),
        pytest.param(
            lambda request: request.answer(content_type="application/octet-stream"),
            3, "SourceInvalid", "nor does the server tell it, by a name in Content-Disposition", id="no kind",
        ),
        pytest.param(lambda request: request.answer(401, b""), 3, "StoreDenied", "401 Unauthorized", id="denied"),
        pytest.param(
            lambda request: (request.answer(content_length="99", content_type="text/csv"), request.end()),
            1, "StoreUnreachable", "ended the connection in mid-answer", id="cut",
        ),
    ],
)  # fmt: skip
def test_what_a_web_server_may_answer(
    volume: Place, answer: Behaviour, code: int, reason: str, message: str
) -> None:
    with serving(answer) as server:
        sources = [{"uri": f"{server.url}/download?{SIGNED}"}]
        run = volume.run({**SPEC, "data": {**SPEC["data"], "sources": sources}})
    assert (run.code, run.report.reason) == (code, reason), run.output
    assert message in run.report.message
    assert "c2VjcmV0" not in run.output + run.report.message


def test_an_authority_that_is_not_known_is_lasting(volume: Place) -> None:
    context, _ = tls(volume.root)
    with serving(lambda request: request.answer(), context) as server:
        run = volume.run({**SPEC, "data": {**SPEC["data"], "sources": [{"uri": f"{server.url}/rows.csv"}]}})
    assert (run.code, run.report.reason) == (3, "CertificateUntrusted"), run.output
    assert "ca.crt" in run.report.message


def test_names_with_blanks_and_umlauts(volume: Place, bucket: Place) -> None:
    rows = pl.DataFrame(generate(rows=600))
    for place in (volume, bucket):
        place.put("März 2026 (100%).csv", rows)
        run = place.run(SPEC, files="März 2026 (100%).csv")
        assert (run.code, run.report.rows) == (0, 600), run.output
