"""CSV: every value quoted, lines end in CRLF (`spec/v1.md §8.4`)."""

from collections.abc import Callable, Iterable, Iterator

from exports.engine.produce.columns import NO_COLUMNS, Row, Value
from exports.engine.produce.options import Csv

BOM = b"\xef\xbb\xbf"
#: What makes a spreadsheet take a text for a formula, and what marks that it is none. Texts that begin with the mark
#: get another, so that taking one mark away gives every text back.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠'")
_MARK = "'"
#: Rows are handed on in pieces of so many.
_ROWS = 200


def text_of(value: Value) -> str:
    """Booleans as in JSON; a number as it was written."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    return value if isinstance(value, str) else str(value)


def table(rows: Iterable[Row], names: list[str], headers: list[str], options: Csv) -> Iterator[bytes]:
    """`names`: keys of the rows, `headers`: what the columns are called."""
    line = _line(options)
    yield (BOM if options.bom else b"") + line(headers or [NO_COLUMNS]).encode()
    if not names:
        return
    held: list[str] = []
    for row in rows:
        held.append(line([row.get(name, "") for name in names]))
        if len(held) == _ROWS:
            yield "".join(held).encode()
            held.clear()
    yield "".join(held).encode()


def _line(options: Csv) -> Callable[[list[Value] | list[str]], str]:
    quote, escape = options.quote, options.escape
    between, end = quote + options.delimiter + quote, quote + "\r\n"
    safe = options.formula_safe

    def escaped(value: Value) -> str:
        text = value if type(value) is str else text_of(value)
        if safe and type(value) is str and text.startswith(_FORMULA):
            text = _MARK + text
        if escape != quote and escape in text:
            text = text.replace(escape, escape + escape)
        return text.replace(quote, escape + quote) if quote in text else text

    return lambda values: quote + between.join(map(escaped, values)) + end
