"""The cluster's programs, built from the Go module proxy and cached outside the work tree.

Every program is pinned: by a go.mod and go.sum under go/ where its module has replace lines (which
`go install path@version` refuses), by its version elsewhere; Go verifies both against sum.golang.org.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

MODULES = Path(__file__).parent / "go"
KUBERNETES_VERSION = "v1.35.4"
# Clients refuse or misjudge a server that reports no version.
STAMP = " ".join(
    f"-X k8s.io/component-base/version.{field}={value}"
    for field, value in (
        ("gitVersion", KUBERNETES_VERSION),
        ("gitMajor", KUBERNETES_VERSION.lstrip("v").split(".")[0]),
        ("gitMinor", KUBERNETES_VERSION.split(".")[1]),
    )
)


@dataclass(frozen=True)
class Program:
    """One program: its Go package, with `@version` or as a tool of the module under go/ named here."""

    name: str
    package: str
    module: str = ""

    @property
    def digest(self) -> str:
        """Changes with everything that the program is built from."""
        digest = hashlib.sha256(f"{self.name} {self.package} {STAMP}".encode())
        for file in ("go.mod", "go.sum") if self.module else ():
            digest.update((MODULES / self.module / file).read_bytes())
        return digest.hexdigest()[:16]

    @property
    def built(self) -> Path:
        return cache() / "cluster" / "programs" / f"{self.name}-{self.digest}"

    @property
    def file(self) -> str:
        """The name that `go install` gives it: the last element that is not a major version."""
        elements = self.package.split("@")[0].split("/")
        return elements[-2] if elements[-1] in ("v2", "v3") else elements[-1]


# In the order in which others wait for them.
PROGRAMS = (
    Program("etcd", "go.etcd.io/etcd/server/v3", module="etcd"),
    Program("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", module="kubernetes"),
    Program("kubectl", "k8s.io/kubernetes/cmd/kubectl", module="kubernetes"),
    Program("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", module="kubernetes"),
    Program("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", module="kubernetes"),
    Program("kubelet", "k8s.io/kubernetes/cmd/kubelet", module="kubernetes"),
    Program("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy", module="kubernetes"),
    Program("coredns", "github.com/coredns/coredns@v1.14.7"),
    Program("local-path-provisioner", "github.com/rancher/local-path-provisioner@v0.0.30"),
    Program("helm", "helm.sh/helm/v3/cmd/helm@v3.22.0"),
    Program("metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server@v0.9.0"),
    Program("versitygw", "github.com/versity/versitygw/cmd/versitygw@v1.8.0"),
)


def cache() -> Path:
    """Where everything is kept that outlives the work tree: $REDSTART_CACHE, else ~/.cache/redstart."""
    return Path(os.environ.get("REDSTART_CACHE") or Path.home() / ".cache" / "redstart")


def directory(*names: str) -> Path:
    """A folder that holds the named programs (all of them when none is named), built when missing.

    Two processes may call it at once: one builds, the other waits.
    """
    wanted = [program for program in PROGRAMS if not names or program.name in names]
    unknown = set(names) - {program.name for program in wanted}
    if unknown:
        raise ValueError(f"no such program: {', '.join(sorted(unknown))}; see tests/cluster/programs.py")
    digest = hashlib.sha256("".join(program.digest for program in PROGRAMS).encode()).hexdigest()[:16]
    folder = cache() / "cluster" / digest / "bin"
    if all((folder / program.name).exists() for program in wanted):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with locked(cache() / "cluster" / "programs.lock"):
        build([program for program in wanted if not program.built.exists()])
        for program in wanted:
            (folder / program.name).unlink(missing_ok=True)
            (folder / program.name).symlink_to(program.built)
    return folder


def program(name: str) -> Path:
    """The pinned program of this name, or the machine's own where Go is not there to build it."""
    own = shutil.which(name)
    if own and not shutil.which("go"):
        return Path(own)
    return directory(name) / name


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the file's lock; the kernel releases it however the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(missing: list[Program]) -> None:
    """Build programs of one module together, since they share most of their packages."""
    if not missing:
        return
    if not shutil.which("go"):
        raise SystemExit("Go is needed to build the cluster's programs: https://go.dev/dl (1.26 or newer)")
    # Not the user's own build cache: this one is 2 GB and of no use once the programs stand.
    build_cache = cache() / "cluster" / "go-build"
    for _, group in groupby(missing, key=lambda program: program.module or program.package):
        install(list(group), build_cache)
    shutil.rmtree(build_cache, ignore_errors=True)


def install(programs: list[Program], build_cache: Path) -> None:
    """Build programs that share a module and move each to its place in the cache."""
    module, started = programs[0].module, time.monotonic()
    print(f"building {', '.join(program.name for program in programs)} ...", file=sys.stderr, flush=True)
    target = build_cache.parent / "go-bin"
    environment = os.environ | {
        "GOBIN": str(target),
        "GOCACHE": str(build_cache),
        "CGO_ENABLED": "0",  # images FROM scratch have no C library
        "GOFLAGS": "-trimpath -buildvcs=false",
    }
    command = ["go", "install", f"-ldflags=-s -w {STAMP}", *(program.package for program in programs)]
    folder = MODULES / module if module else build_cache.parent
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{result.stderr[-4000:]}")
    for program in programs:
        program.built.parent.mkdir(parents=True, exist_ok=True)
        (target / program.file).rename(program.built)
    print(f"  built in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def main() -> None:
    """Build what is missing and print where it is: one program, or the folder of all."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.programs", description=main.__doc__)
    parser.add_argument("name", nargs="?", help="only this program; the machine's own where Go is not there")
    name = parser.parse_args().name
    print(program(name) if name else directory())


if __name__ == "__main__":
    main()
