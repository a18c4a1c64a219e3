"""A file is the former one or the new one, never half of either."""

import subprocess
import sys
from pathlib import Path

from tests.cluster.files import write_atomically

FULL_DISK = """
import resource, sys
from pathlib import Path
from tests.cluster.files import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
write_atomically(Path(sys.argv[1]), b"the new content")
"""


def test_a_write_that_is_ended_midway_leaves_the_former_file_and_the_next_one_succeeds(
    tmp_path: Path,
) -> None:
    path = tmp_path / "folder" / "config.yaml"
    write_atomically(path, b"the former content")
    ended = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, check=False)
    assert b"File too large" in ended.stderr
    assert path.read_bytes() == b"the former content"
    write_atomically(path, b"the new content", mode=0o600)
    assert path.read_bytes() == b"the new content"
    assert path.stat().st_mode & 0o777 == 0o600
