"""The API server, as the user's kubeconfig names it, and its refusals as sentences."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from difflib import get_close_matches
from http import HTTPStatus
from pathlib import Path
from typing import Any

import urllib3
import yaml
from kubernetes import client as api
from kubernetes import config
from kubernetes.config.config_exception import ConfigException

from redstart.cli.errors import CliError
from redstart.cli.kinds import Kind

Object = dict[str, Any]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT = 10.0
"""Seconds to wait for an answer."""


class RefusedError(Exception):
    """An answer other than 2xx: its status and its body."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(
            f"{status} {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else str(status)
        )
        self.status = status
        self.body = body

    @property
    def message(self) -> str:
        """What the API server says about it."""
        try:
            return str(json.loads(self.body)["message"])
        except (ValueError, KeyError, TypeError):
            return self.body.decode(errors="replace").strip() or str(self)


class Connection:
    """Requests with the user's credentials. `namespace` is the context's."""

    def __init__(self, client: api.ApiClient, namespace: str) -> None:
        self._client = client
        self.namespace = namespace

    @property
    def server(self) -> str:
        """The API server's URL."""
        return str(self._client.configuration.host)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        timeout: float = TIMEOUT,
    ) -> bytes:
        """The answer's body.

        Raises:
            RefusedError: the answer is not 2xx.
            CliError: there is no answer, or the credentials are refused.
        """
        headers = {"Accept": "application/json"} | (
            {} if body is None else {"Content-Type": "application/json"}
        )
        try:
            request = self._client.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = self._client.call_api(*request, _request_timeout=timeout)
            content: bytes = answer.read()  # type: ignore[no-untyped-call]
        except urllib3.exceptions.HTTPError as error:
            raise CliError(
                f"the cluster at {self.server} does not answer: {_reason(error)}",
                "Is it running, and is this the right context? See: kubectl config get-contexts",
            ) from error
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise CliError(
                f"the cluster at {self.server} does not accept your credentials",
                "Sign in again, or choose another context: kubectl config get-contexts",
            )
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise RefusedError(answer.status, content)
        return content

    def find(self, kind: Kind, namespace: str, name: str) -> Object:
        """An object.

        Raises:
            CliError: it is not there (with names that are alike), Redstart is not installed, or it may not be read.
        """
        try:
            found: Object = json.loads(self.request("GET", kind.path(namespace, name)))
        except RefusedError as refused:
            if refused.status == HTTPStatus.NOT_FOUND:
                raise self._not_found(kind, namespace, name) from refused
            raise told(refused, f"read {kind.name} {namespace}/{name}") from refused
        return found

    def events(self, obj: Object) -> list[Object] | None:
        """The events about an object, newest first; None where they may not be read."""
        metadata = obj["metadata"]
        selector = {"fieldSelector": f"involvedObject.uid={metadata['uid']}", "limit": "500"}
        try:
            answer = self.request("GET", f"/api/v1/namespaces/{metadata['namespace']}/events", query=selector)
        except RefusedError as refused:
            if refused.status == HTTPStatus.FORBIDDEN:
                return None
            raise told(refused, "read events") from refused
        items: list[Object] = json.loads(answer)["items"]
        return sorted(items, key=lambda item: str(item.get("lastTimestamp") or ""), reverse=True)

    def _not_found(self, kind: Kind, namespace: str, name: str) -> CliError:
        try:
            items = json.loads(self.request("GET", kind.path(namespace)))["items"]
        except RefusedError as refused:
            if refused.status != HTTPStatus.NOT_FOUND:
                return CliError(f'there is no {kind.name} "{name}" in namespace {namespace}')
            return CliError(
                f"this cluster has no {kind.name}s: Redstart is not installed there",
                "Install it: helm install redstart charts/redstart --namespace redstart-system --create-namespace",
            )
        names = sorted(item["metadata"]["name"] for item in items)
        if alike := get_close_matches(name, names, n=3):
            mend = f"Did you mean {' or '.join(alike)}?"
        elif names:
            mend = f"There is {', '.join(names[:5])}{' and more' if len(names) > 5 else ''}."
        else:
            mend = f"There is none in this namespace. Look in all of them: kubectl get {kind.plural} --all-namespaces"
        return CliError(f'there is no {kind.name} "{name}" in namespace {namespace}', mend)


def connect(context: str | None) -> Connection:
    """A connection by the kubeconfig ($KUBECONFIG or ~/.kube/config), or in a pod by its ServiceAccount.

    Raises:
        CliError: neither names a cluster.
    """
    settings = api.Configuration()
    locations = os.environ.get("KUBECONFIG") or "~/.kube/config"
    files = [file for file in locations.split(os.pathsep) if file]
    try:
        if any(Path(file).expanduser().exists() for file in files):
            config.load_kube_config(locations, context, client_configuration=settings)  # type: ignore[no-untyped-call]
            namespace = _namespace(locations, context)
        elif (SERVICE_ACCOUNT / "token").exists():
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
            namespace = (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
        else:
            raise ConfigException(f"there is no kubeconfig at {' or '.join(files)}")
    except (ConfigException, OSError, yaml.YAMLError) as error:
        raise CliError(
            f"no cluster to talk to: {error}",
            "Set KUBECONFIG, or put a kubeconfig at ~/.kube/config. See: kubectl config view",
        ) from error
    # The default is three retries without a pause: a cluster that is down would only be found out later.
    settings.retries = False
    return Connection(api.ApiClient(settings), namespace)


def told(refused: RefusedError, action: str) -> CliError:
    """A refusal of the API server as a sentence; `action` is what was refused, such as "read events"."""
    if refused.status == HTTPStatus.FORBIDDEN:
        return CliError(
            f"you may not {action}: {refused.message}",
            "Ask whoever runs the cluster for the role view (to look) or edit (to change) in this namespace.",
        )
    return CliError(f"the cluster refused to {action}: {refused.message}")


def _namespace(locations: str, context: str | None) -> str:
    contexts, current = config.list_kube_config_contexts(locations)  # type: ignore[no-untyped-call]
    chosen = next((item for item in contexts if item["name"] == context), current)
    return str(chosen["context"].get("namespace") or "default")


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    """The last part of urllib3's chain of reasons: what the user can act on."""
    reason = getattr(error, "reason", None) or error
    return str(reason).rsplit(": ", maxsplit=1)[-1]
