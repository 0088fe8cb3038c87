"""XLSX: the columns of CSV, a sheet for each objecttype (`spec/v1.md §8.6`). Texts are never formulas or links."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime

from xlsxwriter import Workbook
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.worksheet import Worksheet

from exports.engine.notes import Notes
from exports.engine.produce.columns import NO_COLUMNS, Row, Value
from exports.engine.produce.csv import text_of
from exports.engine.produce.values import Number
from exports.engine.volumes import CHUNK, named

#: Limits of the format.
MOST_ROWS = 1_048_576
LONGEST_TEXT = 32_767
LONGEST_NAME = 31
BEAT_ROWS = 500
#: Beyond it a spreadsheet changes digits; such numbers are texts.
LARGEST = 2**53
#: Nothing that tells when it was made: equal content, equal bytes.
_NEVER = datetime(1980, 1, 1)
_PLAIN = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}
#: (objecttype, rows, names, headers)
Sheet = tuple[str, Iterable[Row], list[str], list[str]]


class _Sheet(Worksheet):
    def _xml_rich_inline_string(self, string: str, attributes: list[tuple[str, object]]) -> None:
        """The library takes a text like "<r>…</r>" for markup of its own and would write it as it is."""
        self._xml_inline_string(string, True, attributes)


def workbook(sheets: Iterable[Sheet], *, folder: str, notes: Notes, most_rows: int = MOST_ROWS) -> Iterator[bytes]:
    """The file, made in `folder` and gone when it was read. Raises NoSpace.

    What does not fit a sheet goes on in the next one.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix="xlsx.") as place:
        path = os.path.join(place, "book.xlsx")
        try:
            book = Workbook(path, {**_PLAIN, "tmpdir": place})
            book.set_properties({"created": _NEVER})
            names: set[str] = set()
            for objecttype, rows, columns, headers in sheets:
                for _ in _fill(book, names, (objecttype, rows, columns, headers), notes, most_rows):
                    yield b""  # a heart beats meanwhile
            book.close()
            with open(path, "rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except FileCreateError as error:
            raise named(error.args[0], place) if isinstance(error.args[0], OSError) else error from error
        except OSError as error:
            raise named(error, place) from error


def _fill(book: Workbook, names: set[str], sheet: Sheet, notes: Notes, most_rows: int) -> Iterator[None]:
    objecttype, rows, columns, headers = sheet
    page, place = _page(book, names, objecttype, headers), 1
    for row in rows:
        if place == most_rows:
            page, place = _page(book, names, objecttype, headers), 1
        for column, name in enumerate(columns):
            if (value := row.get(name, "")) != "":
                _write(page, place, column, value, notes)
        place += 1
        if not place % BEAT_ROWS:
            yield


def _page(book: Workbook, names: set[str], objecttype: str, headers: list[str]) -> Worksheet:
    page = book.add_worksheet(_name(objecttype, names), worksheet_class=_Sheet)
    for column, header in enumerate(headers or [NO_COLUMNS]):
        page.write_string(0, column, header[:LONGEST_TEXT])
    return page


def _write(page: Worksheet, place: int, column: int, value: Value, notes: Notes) -> None:
    if isinstance(value, bool):
        page.write_boolean(place, column, value)
    elif isinstance(value, int) and abs(value) < LARGEST:
        page.write_number(place, column, value)
    elif isinstance(value, Number) and repr(float(value)) == value:
        page.write_number(place, column, float(value))
    else:
        text = text_of(value)
        if len(text) > LONGEST_TEXT:
            notes.warn(f"XLSX holds {LONGEST_TEXT:,} characters a cell; longer texts were cut there.")
            text = text[:LONGEST_TEXT]
        page.write_string(place, column, text)


def _name(objecttype: str, taken: set[str]) -> str:
    """Doctypes hold no character that a sheet's name may not, but may be longer, and differ in case alone."""
    name, number = objecttype[:LONGEST_NAME], 1
    while name.lower() in taken or name.lower() == "history":
        number += 1
        name = f"{objecttype[: LONGEST_NAME - 8]} ({number})"
    taken.add(name.lower())
    return name
