"""Other tools that do the same work: a folder of files becomes one archive (or one copy)."""

import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.corpora import files_of


class Peer(NamedTuple):
    name: str
    #: (folder, place of the archive to be)
    work: Callable[[Path, Path], object]
    #: Programs it cannot do without.
    needs: tuple[str, ...] = ()
    #: Why it cannot run even where its programs are.
    never: str = ""

    def missing(self) -> str:
        """Why it cannot run here; "" when it can."""
        return self.never or next(
            (f"{program} is not installed" for program in self.needs if not shutil.which(program)), ""
        )


def _command(name: str, *argv: str, needs: str = "") -> Peer:
    """Runs in the folder; {out} is the archive."""

    def work(folder: Path, out: Path) -> None:
        subprocess.run([part.format(out=out) for part in argv], cwd=folder, check=True, stdout=subprocess.DEVNULL)

    return Peer(name, work, (argv[0], *([needs] if needs else [])))


def _zipfile(method: int, level: int | None) -> Callable[[Path, Path], None]:
    def work(folder: Path, out: Path) -> None:
        with zipfile.ZipFile(out, "w", method, compresslevel=level) as archive:
            for path in files_of(folder):
                archive.write(path, path.relative_to(folder).as_posix())

    return work


def _zipstream(method: int, level: int | None) -> Callable[[Path, Path], None]:
    def work(folder: Path, out: Path) -> None:
        import zipstream

        archive = zipstream.ZipStream(compress_type=method, compress_level=level)
        archive.add_path(str(folder), arcname="/")
        with out.open("wb") as file:
            file.writelines(archive)

    return work


def _absent(name: str, why: str) -> Peer:
    def work(folder: Path, out: Path) -> None:
        raise NotImplementedError(why)

    return Peer(name, work, never=why)


ZIPFILE_6 = Peer("zipfile deflated 6", _zipfile(zipfile.ZIP_DEFLATED, 6))
ZIPFILE_STORED = Peer("zipfile stored", _zipfile(zipfile.ZIP_STORED, None))
ZIPSTREAM_6 = Peer("zipstream-ng deflated 6", _zipstream(zipfile.ZIP_DEFLATED, 6))
ZIPSTREAM_STORED = Peer("zipstream-ng stored", _zipstream(zipfile.ZIP_STORED, None))
INFOZIP_0 = _command("Info-ZIP -0", "zip", "-q", "-r", "-0", "{out}", ".")
INFOZIP_6 = _command("Info-ZIP -6", "zip", "-q", "-r", "-6", "{out}", ".")
TAR = _command("GNU tar cf", "tar", "cf", "{out}", ".")
TAR_GZ = _command("GNU tar czf", "tar", "czf", "{out}", ".", needs="gzip")
CAT = _command("cat > one file", "sh", "-c", "find . -type f -print0 | xargs -0 cat > '{out}'", needs="xargs")
CP = _command("cp -r", "cp", "-r", ".", "{out}")
GO_ZIP = _absent("Go archive/zip", "the old server's Go program is not here")
GO_TAR_GZ = _absent("Go tar.gz", "the old server's Go program is not here")
JAVA_ZIP = _absent("Java zip file system", "the old server's Java program is not here")
