"""XLSX, judged by openpyxl."""

import hashlib
import io
from pathlib import Path

from openpyxl import load_workbook

from exports.engine.notes import Notes
from exports.engine.produce.values import Number
from exports.engine.produce.xlsx import LONGEST_TEXT, Sheet, workbook


def made(tmp_path: Path, *sheets: Sheet, notes: Notes | None = None, **options: int) -> bytes:
    return b"".join(workbook(sheets, folder=str(tmp_path), notes=notes or Notes(), **options))


def test_numbers_are_numbers_where_a_spreadsheet_keeps_their_digits(tmp_path: Path) -> None:
    row = {"a": 7, "b": 2**53, "c": Number("2.5"), "d": Number("0.1000000000000000000001"), "e": True, "f": "7"}
    names = list(row)
    data = made(tmp_path, ("t", [row], names, names))
    values = [cell.value for cell in load_workbook(io.BytesIO(data))["t"][2]]
    assert values == [7, str(2**53), 2.5, "0.1000000000000000000001", True, "7"]
    assert list(tmp_path.glob("xlsx.*")) == []


def test_rows_beyond_a_sheet_go_on_in_the_next(tmp_path: Path) -> None:
    rows = [{"n": number} for number in range(7)]
    book = load_workbook(io.BytesIO(made(tmp_path, ("t", rows, ["n"], ["N"]), most_rows=4)))
    found = [[row[0] for row in sheet.iter_rows(values_only=True)] for sheet in book]
    assert book.sheetnames == ["t", "t (2)", "t (3)"]
    assert found == [["N", 0, 1, 2], ["N", 3, 4, 5], ["N", 6]]


def test_names_of_sheets_are_short_and_differ(tmp_path: Path) -> None:
    names = ["x" * 40, "x" * 40 + "y", "Note", "note", "History"]
    book = load_workbook(io.BytesIO(made(tmp_path, *((name, [{"n": 1}], ["n"], ["n"]) for name in names))))
    assert len({name.lower() for name in book.sheetnames}) == 5
    assert max(map(len, book.sheetnames)) <= 31


def test_a_text_too_long_for_a_cell_is_cut_with_a_warning(tmp_path: Path) -> None:
    notes = Notes()
    data = made(tmp_path, ("t", [{"n": "ä" * 40_000}], ["n"], ["n"]), notes=notes)
    assert load_workbook(io.BytesIO(data))["t"]["A2"].value == "ä" * LONGEST_TEXT
    assert len(notes.sentences()) == 1


def test_equal_rows_make_equal_files(tmp_path: Path) -> None:
    digests = {hashlib.sha256(made(tmp_path, ("t", [{"n": "x"}], ["n"], ["n"]))).hexdigest() for _ in range(2)}
    assert len(digests) == 1
