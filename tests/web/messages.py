"""The catalogue of translations: what the pages say, gathered from templates, code and the errors of the domain.

`python -m tests.web.messages` brings exports/locale/de up to date; new sentences come without a translation, and
tests/web/test_messages.py asks for one. Babel alone: no gettext tools are needed.
"""

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation import templatize

ROOT = Path(__file__).resolve().parents[2]
PO = ROOT / "exports/locale/de/LC_MESSAGES/django.po"
MO = PO.with_suffix(".mo")
#: Folders of code that says something to people.
SPEAKING = ("api/move", "services", "templatetags", "transports", "web")
KEYWORDS = {
    "gettext": None, "gettext_lazy": None, "_": None, "gettext_noop": None, "ngettext": (1, 2), "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2), "pgettext_lazy": ((1, "c"), 2), "npgettext": ((1, "c"), 2, 3),
}  # fmt: skip


def pages_say() -> Iterator[tuple[str, object, str | None]]:
    """(file, message or (singular, plural), context) of templates, of mails too, and code."""
    templates = ROOT / "exports/templates"
    for path in sorted([*templates.rglob("*.html"), *templates.rglob("*.txt")]):
        code = templatize(path.read_text(), origin=str(path)).encode()
        yield from _of(path, code)
    for path in sorted(path for folder in SPEAKING for path in (ROOT / "exports" / folder).rglob("*.py")):
        yield from _of(path, path.read_bytes())


def _of(path: Path, code: bytes) -> Iterator[tuple[str, object, str | None]]:
    for _, message, _, context in extract("python", BytesIO(code), keywords=KEYWORDS):
        yield str(path.relative_to(ROOT)), message, context


def _errors() -> Iterator[tuple[str, object, None]]:
    from tests.house.test_dialects import all_errors

    for kind in sorted(set(all_errors()), key=lambda kind: kind.__name__):
        if kind.__doc__:
            yield kind.__module__.replace(".", "/") + ".py", kind.__doc__, None


def kept() -> Catalog:
    return read_po(BytesIO(PO.read_bytes()), locale="de")


def updated() -> Catalog:
    old = kept()
    new = Catalog(locale="de", charset="utf-8", fuzzy=False)
    for file, message, context in (*pages_say(), *_errors()):
        known = old.get(message[0] if isinstance(message, tuple) else message, context)
        new.add(message, known.string if known else None, [(file, None)], context=context)
    return new


def main() -> None:
    with PO.open("rb+") as file:
        catalog = updated()
        write_po(file, catalog, width=120, include_lineno=False)
        file.truncate()
    with MO.open("wb") as file:
        write_mo(file, kept())
    missing = [message.id for message in catalog if message.id and not _whole(message.string)]
    sys.stdout.write(f"{len(catalog)} messages, {len(missing)} without a translation\n")


def _whole(string: object) -> bool:
    return all(string) if isinstance(string, tuple) else bool(string)


if __name__ == "__main__":
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exportsite.settings")
    django.setup()
    main()
