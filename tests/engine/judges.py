"""Programs that others wrote, as judges of our archives."""

import os
import re
import shutil
import stat
import subprocess
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

from exports.engine.formats import FORMATS

#: Not UTC: a judge that reads local times shows.
ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "Asia/Kolkata"}
INSTALL = "unzip p7zip-full libarchive-tools jq"


class Found(NamedTuple):
    """What a judge made of one entry on disk."""

    is_folder: bool
    mtime: int
    executable: bool
    data: bytes


def run(*command: str | Path) -> str:
    """Standard output; the test fails on any exit status but 0. Nobody answers questions."""
    done = subprocess.run(
        [str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, env=ENVIRONMENT
    )
    assert done.returncode == 0, (command, done.returncode, done.stdout[-500:], done.stderr[-500:])
    return done.stdout.decode()


def drain(*command: str | Path) -> str:
    """As `run`, for outputs of gigabytes; what it says beside them."""
    done = subprocess.run(
        [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT
    )
    assert done.returncode == 0, (command, done.stderr[-500:])
    return done.stderr.decode()


def pipe(first: list[str | Path], second: list[str | Path]) -> str:
    with subprocess.Popen([str(part) for part in first], stdout=subprocess.PIPE, env=ENVIRONMENT) as source:
        done = subprocess.run([str(part) for part in second], stdin=source.stdout, capture_output=True, env=ENVIRONMENT)
    assert (source.returncode, done.returncode) == (0, 0), (first, done.stdout[-500:], done.stderr[-500:])
    return done.stdout.decode()


def missing(tool: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{tool} is missing: install {INSTALL}")
    pytest.skip(f"{tool} is missing: install {INSTALL}")


@dataclass(frozen=True)
class Judge:
    """`check` reads every byte, and returns the names where that tells them; `names` lists; `extract` unpacks into an
    empty folder."""

    name: str
    tool: str | None
    formats: tuple[str, ...]
    check: Callable[[Path], list[str] | None]
    names: Callable[[Path], list[str]]
    extract: Callable[[Path, Path], object]

    def checked_names(self, path: Path) -> list[str]:
        names = self.check(path)
        return self.names(path) if names is None else names

    def spells(self, name: str) -> str:
        """As what it writes a name to disk: libarchive composes, most of it."""
        return unicodedata.normalize("NFC", name) if self.tool == "bsdtar" else name

    def found(self, root: Path) -> dict[str, Found]:
        found = tree(root)
        spelled = {self.spells(name): each for name, each in found.items()}
        assert len(spelled) == len(found)
        return spelled

    def called(self) -> "Judge":
        if self.tool is None or shutil.which(self.tool):
            return self
        return missing(self.tool)


def _lines(text: str) -> list[str]:
    return text.split("\n")[:-1]


def _unzip_names(path: Path) -> list[str]:
    return [] if empty_zip(path) else _lines(run("unzip", "-Z1", path))


def _unzip_check(path: Path) -> None:
    if not empty_zip(path):
        run("unzip", "-tqq", path)


def empty_zip(path: Path) -> bool:
    """Info-ZIP says exit status 1, "zipfile is empty", to what is a valid archive."""
    if path.stat().st_size != 22:
        return False
    done = subprocess.run(["unzip", "-tqq", path], capture_output=True, env=ENVIRONMENT)
    assert (done.returncode, b"zipfile is empty" in done.stdout + done.stderr) == (1, True)
    return True


def _outer(path: Path) -> list[str | Path] | None:
    return ["7z", "x", "-so", path] if path.suffix in (".gz", ".bz2") else None


def _7z_check(path: Path) -> None:
    run("7z", "t", path)
    if outer := _outer(path):
        pipe(outer, ["7z", "t", "-si", "-ttar"])


def _7z_names(path: Path) -> list[str]:
    outer = _outer(path)
    text = pipe(outer, ["7z", "l", "-slt", "-si", "-ttar"]) if outer else run("7z", "l", "-slt", path)
    entries = re.findall(r"^Path = (.*)\nFolder = ([+-])$", text.partition("----------\n")[2], re.MULTILINE)
    return [name + "/" * (is_folder == "+") for name, is_folder in entries]


def _7z_extract(path: Path, into: Path) -> None:
    if outer := _outer(path):
        pipe(outer, ["7z", "x", "-si", "-ttar", f"-o{into}"])
    else:
        run("7z", "x", f"-o{into}", path)


def _python_check(path: Path) -> list[str]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            return archive.namelist()
    names = []
    with tarfile.open(path) as archive:
        for member in archive:
            names.append(member.name + "/" * member.isdir())
            if file := archive.extractfile(member):
                while file.read(1 << 20):
                    pass
    return names


def _python_names(path: Path) -> list[str]:
    if path.suffix == ".zip":
        return zipfile.ZipFile(path).namelist()
    with tarfile.open(path) as archive:
        return [member.name + "/" * member.isdir() for member in archive]


def _python_extract(path: Path, into: Path) -> None:
    if path.suffix != ".zip":
        with tarfile.open(path) as archive:
            archive.extractall(into, filter="data")
        return
    with zipfile.ZipFile(path) as archive:
        archive.extractall(into)  # noqa: S202


TARS = ("tar", "tar_gz", "tar_bz2")
JUDGES = (
    Judge(
        "unzip", "unzip", ("zip",), _unzip_check, _unzip_names, lambda path, into: run("unzip", "-q", path, "-d", into)
    ),
    Judge("7z", "7z", ("zip", *TARS), _7z_check, _7z_names, _7z_extract),
    Judge(
        "bsdtar",
        "bsdtar",
        ("zip", *TARS),
        lambda path: [line.removeprefix("x ") for line in _lines(drain("bsdtar", "-xvOf", path))],
        lambda path: _lines(run("bsdtar", "-tf", path)),
        lambda path, into: run("bsdtar", "-xpf", path, "-C", into),
    ),
    Judge(
        "tar",
        "tar",
        TARS,
        lambda path: _lines(drain("tar", "--quoting-style=literal", "-xvOf", path)),
        lambda path: _lines(run("tar", "--quoting-style=literal", "-tf", path)),
        lambda path, into: run("tar", "-xpf", path, "-C", into),
    ),
    Judge("python", None, ("zip", *TARS), _python_check, _python_names, _python_extract),
)
#: Every judge with every format it reads.
PAIRS = [pytest.param(judge, each, id=f"{judge.name}-{each}") for judge in JUDGES for each in judge.formats]
assert {each for judge in JUDGES for each in judge.formats} == set(FORMATS)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def tree(root: Path) -> dict[str, Found]:
    """What stands under `root`, by path; folders end in "/". Follows no link, and finds none."""
    found, below = {}, len(str(root)) + 1
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            is_folder = stat.S_ISDIR(status.st_mode)
            assert is_folder or stat.S_ISREG(status.st_mode), path
            data = b"" if is_folder else _content(path)
            found[path[below:] + "/" * is_folder] = Found(
                is_folder, int(status.st_mtime // 1), bool(status.st_mode & 0o100), data
            )
    return found
