"""Redstart's images: built from images/, given to the cluster, and only when their inputs changed."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster import kind, native
from tests.cluster.commands import run, timed
from tests.cluster.files import write_atomically
from tests.cluster.kind import REPOSITORY
from tests.cluster.machine import IMAGES, require
from tests.cluster.programs import cache, directory, locked

ROOT = cache() / "cluster" / "buildah"
STORAGE, RUN = ROOT / "storage", Path("/run/redstart-buildah")
BASE = "localhost/python-base"
# What python:3.13-slim offers and the Containerfiles use.
BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv", "python-is-python3")
LABEL = "redstart.dev/inputs"


@dataclass(frozen=True)
class Image:
    """One image, and what goes into it (paths from the repository's root)."""

    name: str
    containerfile: str
    inputs: tuple[str, ...] = ("pyproject.toml", "uv.lock")
    arguments: dict[str, str] = field(default_factory=dict)
    program: str = ""
    """One of the cluster's programs that it copies from the build context `programs`."""

    @property
    def reference(self) -> str:
        return f"localhost/{self.name}:dev"

    def built_with(self) -> dict[str, str]:
        """Its build arguments."""
        program = {"PROGRAM": built(self.program).name} if self.program else {}
        return self.arguments | program

    def options(self) -> list[str]:
        """What `docker build` and `buildah build` are told alike."""
        context = [f"--build-context=programs={built(self.program).parent}"] if self.program else []
        arguments = [f"--build-arg={name}={value}" for name, value in self.built_with().items()]
        return ["--file", str(REPOSITORY / self.containerfile), *context, *arguments]

    def digest(self, base: str) -> str:
        """Changes with everything that the image is built from."""
        digest = hashlib.sha256(f"{base} {sorted(self.built_with().items())}".encode())
        for path in self._files():
            digest.update(str(path.relative_to(REPOSITORY)).encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()

    def _files(self) -> Iterator[Path]:
        for name in (self.containerfile, *self.inputs):
            path = REPOSITORY / name
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            yield from (file for file in files if file.is_file() and "__pycache__" not in file.parts)


def built(program: str) -> Path:
    """The file of one of the cluster's programs, not the link to it, which would lead out of a build context."""
    return (directory(program) / program).resolve()


SOURCE = ("pyproject.toml", "uv.lock", "operator/redstart")
ALL = (
    Image("redstart-operator", "images/redstart.Containerfile", SOURCE, {"EXTRAS": "operator"}),
    Image("redstart-runtime", "images/redstart.Containerfile", SOURCE, {"EXTRAS": "server sidecar trainer"}),
    Image("envoy", "images/envoy.Containerfile"),
)
# Only for tests: nothing else needs to build its program.
STORE = Image("versitygw", "images/versitygw.Containerfile", (), program="versitygw")


def build(images: Sequence[Image] = ALL) -> None:
    """Build and give to the cluster each image whose inputs differ from those of the one that it has."""
    if kind.available():
        for image in images:
            build_for_kind(image)
    else:
        require(IMAGES)
        with locked(ROOT.with_suffix(".lock")):
            base = base_image()
            for image in images:
                build_for_native(image, base)


def build_for_kind(image: Image) -> None:
    """Docker decides by its own cache what to build, kind by the image's identity what to copy."""
    run(["docker", "build", *image.options(), "--tag", image.reference, str(REPOSITORY)], shown=True)
    kind.load(image.reference)
    size = run(["docker", "image", "inspect", "--format", "{{.Size}}", image.reference])
    print(f"{image.reference}: {int(size) / 1e6:.0f} MB")


def build_for_native(image: Image, base: str) -> None:
    """Build with buildah and import into the node's containerd, which keeps the digest of the inputs."""
    digest = image.digest(base)
    found = run(native.ctr("images", "ls", f'name=={image.reference},labels."{LABEL}"=={digest}', "--quiet"))
    if image.reference in found.split():
        print(f"{image.reference}: {size(image) or 'size unknown'}, up to date")
        return
    with timed(f"{image.reference} built"):
        buildah(
            "build", "--quiet", "--layers", "--format=docker", *image.options(), *host_settings(),
            f"--build-arg=BASE_IMAGE={base}", "--tag", image.reference, str(REPOSITORY),
        )  # fmt: skip
    with timed(f"{image.reference} imported"):
        import_layers(image)
        run(native.ctr("images", "label", image.reference, f"{LABEL}={digest}"))
    print(f"{image.reference}: {size(image)}")


def size(image: Image) -> str:
    """What buildah keeps of it, all layers unpacked; empty where its storage was deleted since."""
    return buildah("images", "--format={{.Size}}", "--filter", f"reference={image.reference}").strip()


def import_layers(image: Image) -> None:
    """Import an image into containerd by way of an OCI layout (image-spec, image-layout.md) that keeps the
    layers: skopeo adds those that changed, and the archive holds those that containerd does not have. So
    a change of the source moves kilobytes, not the packages. (buildah would compress all of them anew.)
    """
    layout, title = ROOT / "layout", "org.opencontainers.image.ref.name"
    source = f"containers-storage:[overlay@{STORAGE}+{RUN}]{image.reference}"
    copy = ["copy", "--quiet", "--dest-oci-accept-uncompressed-layers", source, f"oci:{layout}:{image.name}"]
    run(["skopeo", "--policy", trust_policy(), *copy])
    index = json.loads((layout / "index.json").read_text())
    # A copy leaves the former image of this name in the index, without the name.
    index["manifests"] = [entry for entry in index["manifests"] if title in entry.get("annotations", {})]
    write_atomically(layout / "index.json", json.dumps(index).encode())
    wanted: dict[str, set[str]] = {}
    for entry in index["manifests"]:
        manifest = json.loads(blob(layout, entry["digest"]).read_text())
        parts = (entry, manifest["config"], *manifest["layers"])
        wanted[entry["annotations"][title]] = {part["digest"] for part in parts}
    [entry] = (entry for entry in index["manifests"] if entry["annotations"][title] == image.name)
    named = entry | {"annotations": {"io.containerd.image.name": image.reference}}
    own = {"schemaVersion": 2, "manifests": [named]}
    missing = wanted[image.name] - set(run(native.ctr("content", "ls", "--quiet")).split())
    archive = ROOT / "import.tar"
    with tarfile.open(archive, "w") as tar:
        for name, content in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", own)):
            text = json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
        for digest in missing:
            path = blob(layout, digest)
            tar.add(path, arcname=path.relative_to(layout))
    run(native.ctr("images", "import", str(archive)))
    archive.unlink()
    for path in (layout / "blobs").glob("*/*"):
        if f"{path.parent.name}:{path.name}" not in set().union(*wanted.values()):
            path.unlink()


def blob(layout: Path, digest: str) -> Path:
    """Where an OCI layout keeps what has this digest."""
    algorithm, _, name = digest.partition(":")
    return layout / "blobs" / algorithm / name


def base_image() -> str:
    """Debian of this machine's release with Python, as an image; made once."""
    release = codename()
    tag = hashlib.sha256(" ".join(BASE_PACKAGES).encode()).hexdigest()[:8]
    reference = f"{BASE}:{release}-{tag}"
    if buildah("images", "--quiet", "--filter", f"reference={reference}").strip():
        return reference
    with timed(f"{reference} made"):
        root = ROOT.parent / "debootstrap"
        run(["rm", "-rf", str(root)])
        packages = f"--include={','.join(BASE_PACKAGES)}"
        run(["debootstrap", "--variant=minbase", packages, release, str(root)])
        slim = [f"var/cache/apt/{each}" for each in ("archives", "pkgcache.bin", "srcpkgcache.bin")]
        slim += ["var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info"]
        run(["rm", "-rf", *(str(root / each) for each in slim)])
        container = buildah("from", "--quiet", "scratch").strip()
        buildah("add", "--quiet", container, str(root), "/")
        buildah(
            "config", "--env=PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "--cmd=python", container
        )
        buildah("commit", "--quiet", "--rm", "--format=docker", container, reference)
        run(["rm", "-rf", str(root)])
    return reference


def codename() -> str:
    """The name of the Debian release that this machine runs."""
    for line in Path("/etc/os-release").read_text().splitlines():
        key, _, value = line.partition("=")
        if key == "VERSION_CODENAME":
            return value.strip('"')
    raise SystemExit("/etc/os-release names no VERSION_CODENAME: is this a released Debian?")


def host_settings() -> list[str]:
    """Let builds reach package registries the way this machine does: its authorities, its pip settings."""
    uv = ROOT / "uv.toml"
    uv.write_text("native-tls = true\n")
    mounts = {"/etc/ssl/certs/ca-certificates.crt": None, "/etc/pip.conf": None, str(uv): "/etc/uv/uv.toml"}
    return [f"--volume={host}:{inside or host}:ro" for host, inside in mounts.items() if os.path.exists(host)]


def buildah(command: str, *arguments: str) -> str:
    """Run buildah over a storage of its own, without needing namespaces."""
    storage = [f"--root={STORAGE}", f"--runroot={RUN}", "--storage-driver=overlay"]
    trust = [f"--signature-policy={trust_policy()}"] if command in ("build", "from", "commit") else []
    words = ["buildah", *storage, command, *trust, *arguments]
    os.environ["BUILDAH_ISOLATION"] = "chroot"
    return run(words)


def trust_policy() -> Path:
    """containers-policy.json(5): images that were built here carry no signatures."""
    path = ROOT / "policy.json"
    ROOT.mkdir(parents=True, exist_ok=True)
    path.write_text('{"default": [{"type": "insecureAcceptAnything"}]}\n')
    return path
