"""`cell_export --layout move` and `cell_import` of one archive or several parts (issue 5, points 2 and 3)."""

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from cells.models import Cell
from exports.models import Run
from exports.services import verification
from tests.factories import put_file
from tests.spec.move.asking import exported, mailed, opaque_of, parts, unzipped
from tests.spec.move.incoming import shown

pytestmark = pytest.mark.django_db(transaction=True)


def files_of(cell: Cell) -> tuple:
    found = shown(cell)
    return found["files"], found["times"], found["versions"]


def test_one_archive_by_command_and_back(cell, target, tmp_path: Path) -> None:
    path, out = tmp_path / "cell.zip", io.StringIO()
    call_command("cell_export", cell.name, "-o", str(path), "--layout", "move", stdout=out, stderr=out)
    assert verification.file_verify(str(path)) == []
    names = [info.filename for info, _ in unzipped(path.read_bytes())]
    assert names[0] == "My Cozy/Data/instance.json" and names[-1] == "manifest.json"
    call_command("cell_import", target.name, str(path), stdout=out, stderr=out)
    assert files_of(target) == files_of(cell)
    assert ("io.cozy.contacts", "c1") in shown(target)["documents"]


def test_all_parts_of_an_export_by_command(as_alice, cell, target, tmp_path: Path) -> None:
    exported(as_alice, parts_size=6000)
    paths = []
    for number, part in enumerate(parts(as_alice, opaque_of(mailed()))):
        paths.append(tmp_path / f"My Cozy - part{number:03}.zip")
        paths[-1].write_bytes(part)
    call_command("cell_import", target.name, *map(str, paths[::-1]), stdout=io.StringIO(), stderr=io.StringIO())
    assert files_of(target) == files_of(cell)


def test_a_part_that_is_missing_is_told(as_alice, cell, target, tmp_path: Path) -> None:
    """By names, by what the first part tells, and by the first part's absence."""
    exported(as_alice, parts_size=1)
    paths = []
    for number, part in enumerate(parts(as_alice, opaque_of(mailed()))):
        paths.append(str(tmp_path / f"My Cozy - part{number:03}.zip"))
        Path(paths[-1]).write_bytes(part)
    renamed = str(Path(paths[1]).rename(tmp_path / "1.zip"))
    Path(paths[1]).write_bytes(Path(renamed).read_bytes())
    before, out, err = shown(target), io.StringIO(), io.StringIO()
    for given, told in ((paths[:1] + paths[2:], "missing: part001"), ([*paths, paths[1]], "is there 2 times"),
                        (paths[1:], "missing: part000"),
                        ([renamed], "missing: part000")):  # fmt: skip
        with pytest.raises(CommandError, match=told):
            call_command("cell_import", target.name, *given, stdout=out, stderr=err)
        assert shown(target) == before
    with pytest.raises(SystemExit) as done:
        call_command("cell_import", target.name, *paths[:-1], stdout=out, stderr=err)
    assert done.value.code == 3 and "missing in the archive: 1 of 2 old versions" in err.getvalue()


def test_parts_that_belong_to_nothing_are_refused(cell, target, tmp_path: Path) -> None:
    path = tmp_path / "plain.zip"
    call_command("cell_export", cell.name, "-o", str(path), stdout=io.StringIO(), stderr=io.StringIO())
    before, twin = shown(target), tmp_path / "twin.zip"
    twin.write_bytes(path.read_bytes())
    with pytest.raises(CommandError, match="Only archives of the move API come in parts"):
        call_command("cell_import", target.name, str(path), str(twin), stdout=io.StringIO(), stderr=io.StringIO())
    assert shown(target) == before


def test_a_file_of_that_name_is_not_taken_for_a_move(target, cell, alice, tmp_path: Path) -> None:
    """Our own layout with a user's `My Cozy/Data/instance.json` in it."""
    put_file(cell, "My Cozy/Data/instance.json", b"{}")
    path = tmp_path / "plain.zip"
    call_command("cell_export", cell.name, "-o", str(path), stdout=io.StringIO(), stderr=io.StringIO())
    call_command("cell_import", target.name, str(path), stdout=io.StringIO(), stderr=io.StringIO())
    assert "My Cozy/Data/instance.json" in shown(target)["files"]


def test_other_formats_are_refused(cell, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is a ZIP"):
        call_command("cell_export", cell.name, "-o", str(tmp_path / "cell.tar"), "--layout", "move")
    assert not list(tmp_path.glob("cell*")) and not Run.objects.exists()
