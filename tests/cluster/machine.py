"""What the machine itself must have: Debian packages, installed when something of theirs is missing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# The native cluster's: what each package is recognized by.
CLUSTER = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "nft": "nftables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "mount": "mount",
}
IMAGES = {"buildah": "buildah", "debootstrap": "debootstrap", "skopeo": "skopeo"}


def require(packages: Mapping[str, str]) -> None:
    """Install the packages whose program (on PATH, or an absolute path) is missing."""
    # Not on every user's PATH, but some of the programs are there.
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = sorted(
        {
            package
            for program, package in packages.items()
            if not (shutil.which(program) or os.path.exists(program))
        }
    )
    if missing:
        print(f"installing {', '.join(missing)} ...", file=sys.stderr, flush=True)
        apt_get("install", "--yes", "--no-install-recommends", *missing)


def apt_get(*arguments: str, folder: Path = Path("/")) -> None:
    """Run apt-get in a folder; if that fails, once more with newer lists: a bare machine has none."""
    command = ["apt-get", *arguments]
    if os.geteuid() or not shutil.which("apt-get"):
        raise SystemExit(f"Something is missing on this machine; as root, run: {' '.join(command)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}

    def run(words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    result = run(command)
    if result.returncode:
        run(["apt-get", "update"])
        result = run(command)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{result.stdout[-2000:]}{result.stderr[-2000:]}")
