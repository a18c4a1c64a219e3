"""Where the API server is and how to prove who we are: a pod's ServiceAccount, or a kubeconfig.

https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

import base64
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_MAX_AGE = 60.0  # seconds; the kubelet replaces a bound token's file at 80 % of its life


class CredentialsError(Exception):
    """No usable credentials; the message says what is missing and where."""


class Token:
    """A bearer token from a file that is replaced while we run."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._value = ""
        self._read_at = float("-inf")

    def __call__(self) -> str:
        if self._clock() - self._read_at > TOKEN_MAX_AGE:
            self._value = self._path.read_text(encoding="utf-8").strip()
            self._read_at = self._clock()
        return self._value

    def expire(self) -> None:
        self._read_at = float("-inf")


@dataclass(frozen=True)
class Credentials:
    """`namespace` is the operator's own (its Lease lives there)."""

    server: str
    ssl: ssl.SSLContext
    namespace: str
    token: Token | str | None = None

    def authorization(self) -> str | None:
        token = self.token() if isinstance(self.token, Token) else self.token
        return f"Bearer {token}" if token else None

    def expire(self) -> bool:
        """Have the token read anew; False when there is no file to read it from."""
        if isinstance(self.token, Token):
            self.token.expire()
            return True
        return False


def load(environ: Mapping[str, str] = os.environ) -> Credentials:
    """A kubeconfig that KUBECONFIG names, else the pod's ServiceAccount, else ~/.kube/config."""
    if environ.get("KUBECONFIG"):
        return from_kubeconfig([Path(part) for part in environ["KUBECONFIG"].split(os.pathsep) if part])
    if (SERVICE_ACCOUNT / "token").exists():
        return from_service_account(environ)
    default = Path("~/.kube/config").expanduser()
    if default.exists():
        return from_kubeconfig([default])
    raise CredentialsError(
        "no credentials for a cluster: not in a pod with a ServiceAccount token, KUBECONFIG is not set "
        "and ~/.kube/config does not exist"
    )


def from_service_account(environ: Mapping[str, str], directory: Path = SERVICE_ACCOUNT) -> Credentials:
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise CredentialsError("a ServiceAccount token is mounted but KUBERNETES_SERVICE_HOST is not set")
    return Credentials(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        ssl=ssl.create_default_context(cafile=str(directory / "ca.crt")),
        namespace=(directory / "namespace").read_text(encoding="utf-8").strip(),
        token=Token(directory / "token"),
    )


def from_kubeconfig(paths: list[Path]) -> Credentials:
    """The current context of one or more kubeconfigs; the first file that names something wins."""
    current = ""
    named: dict[str, dict[str, Any]] = {"clusters": {}, "contexts": {}, "users": {}}
    for path in paths:
        try:
            config = yaml.safe_load(path.expanduser().read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise CredentialsError(f"kubeconfig {path} cannot be read: {error}") from error
        current = current or config.get("current-context") or ""
        for section, singular in (("clusters", "cluster"), ("contexts", "context"), ("users", "user")):
            for item in config.get(section) or ():
                content = {**(item.get(singular) or {}), "directory": path.expanduser().parent}
                named[section].setdefault(item["name"], content)
    context = _named(named, "contexts", current, "current-context")
    cluster = _named(named, "clusters", context.get("cluster", ""), f"context {current!r}")
    user = _named(named, "users", context.get("user", ""), f"context {current!r}")
    if "exec" in user or "auth-provider" in user:
        raise CredentialsError(
            f"user {context['user']!r} of the kubeconfig gets its token from a program; "
            "the operator needs a token, a tokenFile or a client certificate"
        )
    token: Token | str | None = user.get("token")
    if user.get("tokenFile"):
        token = Token(user["directory"] / user["tokenFile"])
    return Credentials(
        server=str(cluster["server"]).rstrip("/"),
        ssl=_ssl_context(cluster, user),
        namespace=context.get("namespace") or "default",
        token=token,
    )


def _named(named: dict[str, dict[str, Any]], section: str, name: str, where: str) -> dict[str, Any]:
    found = named[section].get(name)
    if found is None:
        raise CredentialsError(f"kubeconfig: {where} names {name!r}, which is not in {section}")
    return dict(found)


def _ssl_context(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    with ExitStack() as stack:
        ca = _file(stack, cluster, "certificate-authority")
        context = ssl.create_default_context(cafile=ca)
        certificate, key = (
            _file(stack, user, "client-certificate"),
            _file(stack, user, "client-key"),
        )
        if certificate and key:
            context.load_cert_chain(certificate, key)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _file(stack: ExitStack, content: dict[str, Any], field: str) -> str | None:
    """A kubeconfig's file field, or its `-data` twin in a file: Python's ssl cannot load keys from memory."""
    if data := content.get(f"{field}-data"):
        file = stack.enter_context(tempfile.NamedTemporaryFile(buffering=0))  # noqa: SIM115
        file.write(base64.b64decode(data))
        return file.name
    return str(content["directory"] / content[field]) if content.get(field) else None
