"""What README.md tells a new user to type, typed."""

import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.journey.test_up import ROOT, Up, bare_env, data

__all__ = ["data"]


def test_a_first_export_in_five_lines(data: Path, tmp_path: Path) -> None:
    """curl refused the last of them: `-C` and `-J` exclude each other."""
    readme = (ROOT / "README.md").read_text()
    [lines] = re.findall(r"^## A first export.*\n\n((?:    .*\n)+)", readme, re.MULTILINE)
    assert lines.count("\n") == 5
    up = Up(data, "--no-demo").await_ready()
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "letter.txt").write_text("Dear")
    for command in (["cell_create", "me", "--owner", "admin"], ["cell_load", "me", str(tmp_path / "documents")]):
        subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, env=bare_env(DATA=str(data)), check=True)
    (tmp_path / "var").symlink_to(data)
    script = lines.replace("localhost:8000", f"127.0.0.1:{up.port}")
    done = subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "mine.zip") as archive:
        assert archive.read("letter.txt") == b"Dear"
    assert up.stop(signal.SIGINT) == 0
