"""Images FROM scratch, for the cluster's own pods: one static program each, written without a builder."""

import hashlib
import io
import json
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.machine import apt_get, require
from tests.cluster.programs import MODULES, cache

KEPT = cache() / "cluster" / "images"


def image_of(program: Path) -> tuple[str, Path]:
    """The image that runs this static program: its name, and its archive as `docker save` writes one."""
    name = program.name
    digest = hashlib.sha256(program.read_bytes()).hexdigest()[:16]
    return archive(f"localhost/{name}:{digest}", {name: program}, [f"/{name}"])


def pause() -> tuple[str, Path]:
    """The image that holds a pod's namespaces: Kubernetes' own source, compiled here."""
    program = KEPT / "pause"
    if not program.exists():
        require({"gcc": "gcc", "/usr/include/stdio.h": "libc6-dev"})
        module = subprocess.run(
            ["go", "mod", "download", "-json", "k8s.io/kubernetes"],
            cwd=MODULES / "kubernetes", capture_output=True, text=True, check=True,
        )  # fmt: skip
        source = Path(json.loads(module.stdout)["Dir"]) / "build" / "pause" / "linux" / "pause.c"
        KEPT.mkdir(parents=True, exist_ok=True)
        building = program.with_suffix(".new")
        subprocess.run(["gcc", "-Os", "-static", "-DVERSION=3.10", "-o", building, source], check=True)
        building.rename(program)
    return archive("localhost/pause:3.10", {"pause": program}, ["/pause"], user="65535:65535")


def busybox() -> tuple[str, Path]:
    """Debian's static busybox: a shell where a pod needs one (volumes are made and deleted by such a pod)."""
    program = KEPT / "busybox"
    if not program.exists():
        folder = KEPT / "busybox.deb"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        # Unpacked, not installed: the package conflicts with the one that a desktop already has.
        apt_get("download", "busybox-static", folder=folder)
        subprocess.run(["dpkg-deb", "-x", next(folder.glob("*.deb")), folder / "root"], check=True)
        shutil.move(next((folder / "root").glob("**/bin/busybox")), program)
        shutil.rmtree(folder)
    listing = subprocess.run([program, "--list"], capture_output=True, text=True, check=True)
    links = {f"bin/{applet}": "busybox" for applet in listing.stdout.split() if applet != "busybox"}
    return archive("localhost/busybox:latest", {"bin/busybox": program}, ["/bin/sh"], links=links)


def archive(
    name: str,
    files: Mapping[str, Path],
    command: Sequence[str],
    user: str = "",
    links: Mapping[str, str] | None = None,
) -> tuple[str, Path]:
    """Write an image of these files and symbolic links (unless it is written) and return name and path."""
    path = KEPT / f"{name.removeprefix('localhost/').replace(':', '-')}.tar"
    if path.exists():
        return name, path
    KEPT.mkdir(parents=True, exist_ok=True)
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", dereference=True) as tar:
        for target, source in files.items():
            entry = tar.gettarinfo(source, arcname=target)
            entry.uid, entry.gid, entry.uname, entry.gname, entry.mode = 0, 0, "root", "root", 0o755
            with source.open("rb") as content:
                tar.addfile(entry, content)
        for link, target in (links or {}).items():
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    config = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()],
            "os": "linux",
            "config": {"Entrypoint": list(command), "User": user, "Env": ["PATH=/bin"]},
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"],
            },
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    building = path.with_suffix(".new")
    with tarfile.open(building, mode="w") as tar:
        members = (("layer.tar", layer.getvalue()), (config_name, config), ("manifest.json", manifest))
        for member, content_bytes in members:
            info = tarfile.TarInfo(member)
            info.size = len(content_bytes)
            tar.addfile(info, io.BytesIO(content_bytes))
    building.rename(path)
    return name, path
