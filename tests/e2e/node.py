"""The cluster's node, for tests that kill and freeze processes: this machine, or the container that kind made."""

from __future__ import annotations

import subprocess
from functools import cache

from tests.cluster import kind

# Prints the processes of a pod whose command line holds a word. Names of cgroups write a pod's uid with _ or with -.
_FIND = r"""
for cgroup in /proc/[0-9]*/cgroup; do
  if grep -qE "$1|$(echo "$1" | tr - _)" "$cgroup" 2>/dev/null; then
    process="${cgroup%/cgroup}"
    if tr '\0' ' ' < "$process/cmdline" 2>/dev/null | grep -q -- "$2"; then
      echo "${process#/proc/}"
    fi
  fi
done
"""


def processes(uid: str, word: str) -> list[str]:
    """The processes of the pod with that uid whose command line holds the word, as the node numbers them."""
    return run("sh", "-c", _FIND, "sh", uid, word).split()


def run(*command: str) -> str:
    """What a command on the node prints."""
    return subprocess.run([*_node(), *command], check=True, capture_output=True, text=True).stdout


@cache
def _node() -> tuple[str, ...]:
    return ("docker", "exec", f"{kind.NAME}-control-plane") if kind.available() else ()
