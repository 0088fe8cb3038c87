"""`exports/engine/FORMAT.md` promises commands by which anybody checks an archive: here they are run."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from exports.engine import manifest
from exports.engine.entries import EXECUTABLE_MODE
from exports.engine.formats import FORMATS
from exports.engine.names import Names
from exports.engine.plan import PACKERS, Planner, plan
from exports.engine.volumes import write
from tests.engine.judges import ENVIRONMENT, missing
from tests.engine.making import Making

TEXT = (Path(manifest.__file__).parent / "FORMAT.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
TOOLS = "unzip 7z tar gzip bzip2 jq sha256sum python3".split()
PATHS = ["a\\b.txt", "a_b.txt", "dir/x;1", "nulls.bin", "ünï/日本.txt", " leading", "-rf", "Case", "case"]


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    """A folder with `archive.<extension>` of every format, closed by its manifest as a run's are."""
    made, names = Making(tmp_path), Names()
    for path in sorted(PATHS, key=str.encode):
        name = names.file(path)
        entry = made.file(name, path.encode() * 5000, mode=EXECUTABLE_MODE if path == "-rf" else 0o100644)
        made.entries[-1] = entry._replace(path=None if path == name else path)
    made.folder(names.folder("zz empty"))
    text = b"".join(manifest.lines(made.entries, [("lost.bin", "its CRC-32 is wrong")]))
    closing = made.file(names.beside("", manifest.NAME), text)
    planners = [Planner(PACKERS[kind], seal="seal", closing=closing) for kind in FORMATS]
    plan(made.entries[:-1], planners)
    folder = tmp_path / "archives"
    folder.mkdir()
    for planner in planners:
        (only,) = planner.finish()
        write(only, made.source, str(folder / f"archive{FORMATS[only.format].extension}"))
    return folder


def shell(block: str, folder: Path) -> subprocess.CompletedProcess[str]:
    for tool in TOOLS:
        if tool in block and not shutil.which(tool):
            missing(tool)
    return subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=folder, capture_output=True, text=True,
                          env=ENVIRONMENT)  # fmt: skip


def block(word: str) -> str:
    (found,) = [each for each in BLOCKS if word in each]
    return found


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_command_works_on_a_good_archive(number: int, archives: Path) -> None:
    done = shell(BLOCKS[number], archives)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_commands_say_what_the_page_says(archives: Path) -> None:
    assert len(BLOCKS) == 5
    assert shell(block("wc -l"), archives).stdout.split() == ["10", "10", "1", "11", "11"]
    assert shell(block("missing\\t"), archives).stdout.splitlines() == [
        "a_b.txt\ta\\b.txt",
        "a_b (2).txt\ta_b.txt",
        "case (2)\tcase",
        "dir/x_1\tdir/x;1",
        "missing\tlost.bin\tits CRC-32 is wrong",
    ]


@pytest.mark.parametrize("word", ["sha256sum", "file_digest"])
def test_the_commands_find_a_changed_byte_that_the_container_does_not_show(word: str, archives: Path) -> None:
    """Repacked by somebody, with other content of the same name and length."""
    unpacked = archives / "other"
    shutil.unpack_archive(archives / "archive.tar", unpacked, filter="data")
    victim = unpacked / "nulls.bin"
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    (archives / "archive.zip").unlink()
    names = [each["name"] for each in manifest_of(unpacked)] + ["manifest.json"]
    (archives / "names").write_text("\n".join(names) + "\n")
    subprocess.run(["bsdtar", "--format", "zip", "-cf", "../archive.zip", "--no-recursion", "-T", "../names"],
                   cwd=unpacked, check=True, env=ENVIRONMENT)  # fmt: skip
    done = shell(block(word), archives)
    assert done.returncode != 0 and "nulls.bin" in done.stdout + done.stderr


def manifest_of(folder: Path) -> list[dict]:
    return json.loads((folder / "manifest.json").read_text())["entries"]


def test_the_example_of_the_page_is_what_the_code_writes(tmp_path: Path) -> None:
    made = Making(tmp_path)
    entry = made.file("a_b.txt", b"hello", mode=EXECUTABLE_MODE)
    made.entries[-1] = entry._replace(path="a\\b.txt")
    made.folder("empty/")
    text = b"".join(manifest.lines(made.entries, [("lost.bin", "its CRC-32 is wrong")])).decode()
    (example,) = re.findall(r"^```json\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert example == re.sub(r'"sha256": "(....).*?(....)"', r'"sha256": "\1…\2"', text)


def test_the_version_of_the_page_is_that_of_the_code() -> None:
    assert f"Format `{manifest.FORMAT}`, version **{manifest.VERSION}**" in TEXT
    assert f"* **{manifest.VERSION}** (" in TEXT
