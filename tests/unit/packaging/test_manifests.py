"""The generated files are those that `make generate` writes, and the kustomizations name all of them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.cluster.programs import program

MANIFESTS = Path("manifests")
GENERATED = (
    "manifests/crds/*.yaml",
    "manifests/rbac/*.yaml",
    "manifests/operator/*.yaml",
    "manifests/samples/*.csv",
    "charts/redstart/files/crds/*.yaml",
)


def contents(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text()
        for pattern in GENERATED
        for path in sorted(root.glob(pattern))
    }


def test_generated_files_are_up_to_date(tmp_path: Path) -> None:
    for folder in ("charts", "manifests"):
        shutil.copytree(folder, tmp_path / folder)
    subprocess.run([sys.executable, "manifests/generate.py", program("helm"), tmp_path], check=True)
    assert contents(tmp_path) == contents(Path()), "run `make generate` and commit what it writes"


@pytest.mark.parametrize("folder", ["crds", "rbac", "operator"])
def test_a_kustomization_names_every_file_of_its_folder(folder: str) -> None:
    kustomization = yaml.safe_load((MANIFESTS / folder / "kustomization.yaml").read_text())
    files = {path.name for path in (MANIFESTS / folder).glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == files


def test_no_label_of_helm_is_left() -> None:
    for path in (MANIFESTS / "rbac").glob("*.yaml"):
        assert "elm" not in path.read_text().replace("make generate", ""), path
