"""python -m tests.cluster up|down|status|images|env"""

import argparse
import shlex
import shutil

from tests.cluster import images, kind, native
from tests.cluster.kind import REPOSITORY
from tests.cluster.programs import program

KUBECONFIG = REPOSITORY / ".cluster" / "kubeconfig"


def up() -> None:
    """start the cluster, or what is missing of it"""
    (kind if kind.available() else native).up(KUBECONFIG)
    print(f"The cluster is ready: export KUBECONFIG={KUBECONFIG}")


def down() -> None:
    """delete the cluster and all that is in it"""
    (kind if kind.available() else native).down()
    KUBECONFIG.unlink(missing_ok=True)


def status() -> None:
    """print what runs"""
    parts = kind.status() if kind.available() else native.status()
    for name, state in parts.items():
        print(f"{name:26}{state or 'not running'}")
    if not parts or not all(parts.values()):
        raise SystemExit(1)


def env() -> None:
    """print shell commands that select the cluster and its kubectl and helm: eval "$(... env)" """
    print(f"export KUBECONFIG={shlex.quote(str(KUBECONFIG))}")
    found = [program(name) for name in ("kubectl", "helm")]
    folders = dict.fromkeys(str(each.parent) for each in found if str(each) != shutil.which(each.name))
    if folders:
        print(f"export PATH={shlex.quote(':'.join(folders))}:$PATH")


def build_images() -> None:
    """build the images that changed and give them to the cluster"""
    images.build()


COMMANDS = {"up": up, "down": down, "status": status, "images": build_images, "env": env}


def main() -> None:
    """Run the command that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster")
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.__doc__).set_defaults(run=command)
    parser.parse_args().run()


if __name__ == "__main__":
    main()
