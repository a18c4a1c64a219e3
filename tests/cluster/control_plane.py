"""etcd and an API server alone, for tests that want a real API but no pods.

    with ControlPlane(tmp_path) as control_plane:
        config.load_kube_config(str(control_plane.kubeconfig))

Everything that admits, validates and stores objects is real: server-side apply, CEL rules, conflicts,
watches, RBAC, leases. Nothing acts on them, unless `controllers` names some: no garbage collection, no
namespace deletion, no pods.
"""

import json
import shutil
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.cluster import flags
from tests.cluster.pki import KeyPair, kubeconfig
from tests.cluster.processes import kill, wait
from tests.cluster.programs import directory

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
ATTEMPTS = 3  # a port found free may be taken before the program listens on it
PATIENCE = 60.0  # seconds; far beyond the usual 3, for a machine that is busy with other things


@dataclass
class ControlPlane:
    """Starts on entry, ready when entry returns; gone at exit, or when the thread that entered it ends,
    however it ends (SIGKILL included).

    root: a folder of its own, for data, certificates, logs and the audit log.
    audit: keep a record of every request, for `requests()`.
    controllers: of the controller-manager, those to run, such as "garbage-collector-controller" and
        "namespace-controller".
    arguments: more of the API server's flags.
    """

    root: Path
    audit: bool = False
    controllers: Sequence[str] = ()
    arguments: Sequence[str] = ()
    _ports: flags.Ports = field(init=False, repr=False)
    _processes: dict[str, subprocess.Popen[bytes]] = field(init=False, repr=False, default_factory=dict)

    def __enter__(self) -> Self:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._start()
            except StartError:
                self._stop()
                if attempt == ATTEMPTS:
                    raise
            except BaseException:
                self._stop()
                raise
            else:
                break
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def url(self) -> str:
        """https://127.0.0.1:port"""
        return self._ports.url

    @property
    def certificate_authority(self) -> Path:
        """PEM file; vouches for the server and for clients."""
        return self._identities.authority.pair.certificate

    @property
    def admin(self) -> KeyPair:
        """A client's certificate that may do everything."""
        return self.client("admin", ["system:masters"])

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.kubeconfig_of("admin", ["system:masters"])

    def client(self, user: str, groups: Sequence[str] = ()) -> KeyPair:
        """A client's certificate for any user, for instance to try RBAC rules."""
        return self._identities.authority.issue(f"client-{user.replace(':', '-')}", user, groups)

    def kubeconfig_of(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig for any user."""
        path = self.root / "kubeconfigs" / user.replace(":", "-")
        return kubeconfig(path, self.url, self._identities.authority.pair, self.client(user, groups))

    def requests(self, verbs: frozenset[str] = WRITES, user: str | None = None) -> Iterator[dict[str, Any]]:
        """Audit events (audit.k8s.io/v1 Event, level Metadata) of the requests answered so far, in their
        order: `verb`, `requestURI`, `user.username`, `objectRef`, `responseStatus.code`.
        """
        if not self.audit:
            raise ValueError("requests() needs ControlPlane(..., audit=True)")
        with (self.root / "audit.log").open() as lines:
            for line in lines:
                if not line.endswith("\n"):
                    return  # being written
                event = json.loads(line)
                if event["verb"] in verbs and user in (None, event["user"]["username"]):
                    yield event

    @property
    def _identities(self) -> flags.Identities:
        return flags.Identities(self.root / "pki", "127.0.0.1")

    def _start(self) -> None:
        wanted = ["etcd", "kube-apiserver", *(["kube-controller-manager"] if self.controllers else [])]
        programs = directory(*wanted)
        self.root.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.root / "etcd", ignore_errors=True)
        self._ports = flags.Ports(*free_ports(4))
        self._run(flags.etcd(programs, self.root / "etcd", self._ports))
        server = [
            *flags.api_server(programs, self._identities, self._ports),
            "--bind-address=127.0.0.1",
            # Nobody makes a namespace's ServiceAccount here, and pods could not be created without it.
            "--disable-admission-plugins=ServiceAccount",
            *self.arguments,
        ]
        if self.audit:
            policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}
            policy["omitStages"] = ["RequestReceived"]
            (self.root / "audit-policy.yaml").write_text(yaml.safe_dump(policy))
            (self.root / "audit.log").write_text("")
            server += [
                f"--audit-policy-file={self.root / 'audit-policy.yaml'}",
                f"--audit-log-path={self.root / 'audit.log'}",
                "--audit-log-mode=blocking-strict",  # in the file before the client has its answer
            ]
        self._run(server)
        self._await_ready()
        if self.controllers:  # after the roles are there that it needs
            manager = flags.controller_manager(programs, self._identities, self._ports)
            self._run([*manager, f"--controllers={','.join(self.controllers)}"])

    def _run(self, command: Sequence[str | Path]) -> None:
        # The kernel ends the program with the thread that started it.
        guarded = ["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)]
        name = Path(command[0]).name
        with (self.root / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                guarded,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root,
                start_new_session=True,
            )

    def _await_ready(self) -> None:
        context = ssl.create_default_context(cafile=str(self.certificate_authority))
        context.load_cert_chain(self.admin.certificate, self.admin.key)

        def ready() -> bool:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    last = (self.root / f"{name}.log").read_text(errors="replace")[-2000:]
                    raise StartError(f"{name} ended with status {process.returncode}:\n{last}")
            try:
                # The first namespace and its like are made after /readyz already says yes.
                for path in ("/readyz", "/api/v1/namespaces/default"):
                    urllib.request.urlopen(self.url + path, context=context, timeout=5).close()
            except OSError:
                return False
            return True

        if not wait(ready, PATIENCE):
            raise StartError(f"the API server is not ready after {PATIENCE:.0f} s; see {self.root}/*.log")

    def _stop(self) -> None:
        kill([process.pid for process in self._processes.values()])
        for process in self._processes.values():
            process.wait()
        self._processes.clear()


class StartError(RuntimeError):
    """The control plane did not come up."""


def free_ports(number: int) -> list[int]:
    """Loopback ports that nothing listens on now."""
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
