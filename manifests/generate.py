"""Writes what is generated: CRDs from the API's models, the kustomize manifests from the Helm chart, sample rows.

The chart is the source: `manifests/rbac` and `manifests/operator` are what it renders with its default values,
without the labels that belong to Helm. Run as `python manifests/generate.py HELM [FOLDER]`, with the path of helm
and the folder that holds `charts` and `manifests` (the current one by default).
"""

import csv
import re
import subprocess
import sys
from pathlib import Path

from redstart.cli import sample_data

NAMESPACE = "redstart-system"
FOLDERS = {
    "rbac": (
        "serviceaccount.yaml",
        "roles.yaml",
        "user-roles.yaml",
        "pod-update-policy.yaml",
        "version-policy.yaml",
    ),
    "operator": ("settings.yaml", "lease.yaml", "deployment.yaml", "service.yaml", "networkpolicy.yaml"),
}
MONTHS = ("2026-01", "2026-02")
READINGS = 3000  # kubectl apply keeps a copy in an annotation: 256 KiB is the most that a ConfigMap may have
HEADER = "# Generated from charts/redstart by `make generate`.\n"

_DOCUMENT = re.compile(r"^---\n# Source: redstart/templates/(?P<file>\S+)\n", re.MULTILINE)
_OF_HELM = re.compile(r"^ *(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n", re.MULTILINE)


def write_crds(root: Path) -> None:
    """The same files for kustomize and for the chart, which cannot read outside its folder."""
    for folder in ("manifests/crds", "charts/redstart/files/crds"):
        subprocess.run([sys.executable, "-m", "redstart.api.crd", str(root / folder)], check=True)  # noqa: S603


def write_readings(root: Path) -> None:
    """The samples' rows, one file for each month."""
    for month in MONTHS:
        rows = sample_data.generate(month=month, rows=READINGS)
        with (root / "manifests" / "samples" / f"readings-{month}.csv").open("w") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def rendered(helm: str, chart: Path) -> dict[str, list[str]]:
    """The documents that the chart renders, by the template that they come from."""
    # Without a cluster helm assumes a version of Kubernetes; the chart asks for 1.30.
    options = ("--namespace", NAMESPACE, "--kube-version", "1.30.0", "--set", "crds.enabled=false")
    command = [helm, "template", "redstart", str(chart), *options]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    _, *parts = _DOCUMENT.split(text)
    documents: dict[str, list[str]] = {}
    for file, content in zip(parts[::2], parts[1::2], strict=True):
        documents.setdefault(file, []).append(_OF_HELM.sub("", content))
    return documents


def main() -> None:
    """Writes everything."""
    helm, *rest = sys.argv[1:]
    root = Path(*rest)
    write_crds(root)
    write_readings(root)
    documents = rendered(helm, root / "charts" / "redstart")
    for folder, files in FOLDERS.items():
        for file in files:
            path = root / "manifests" / folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(HEADER + "---\n".join(documents.pop(file)))
    if documents:
        raise SystemExit(f"manifests/generate.py: no folder for {', '.join(documents)}; add it to FOLDERS")


if __name__ == "__main__":
    main()
