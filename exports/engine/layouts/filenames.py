"""What shipped files are called (`spec/v1.md §8.3`)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from exports.engine.layouts.assets import Document
from exports.engine.names import cleaned

_VARIABLE = re.compile(r"%([^%\s]+)%")
_MEASURES = "_asset.technical_metadata."
#: In an object: {field: {language: template}}.
OF_OBJECT = "_export_asset_filenames"
_LANGUAGE = re.compile(r"[a-z]{2,3}-[A-Z]{2}")


@dataclass(frozen=True)
class Shipped:
    """One version of one file on its way out. `stem` and `extension` are the original's."""

    id: int
    file_class: str
    stem: str
    extension: str
    version: str
    #: Whether other versions of this file go out beside it.
    is_one_of_several: bool
    #: {"width", "height"}, asked only if a name needs them.
    measures: Callable[[], dict[str, int]]


@dataclass(frozen=True)
class Naming:
    original: bool
    template: str | None
    export: str
    #: The name of this installation.
    system: str
    #: Of the owner; "" is whichever comes first.
    language: str = ""

    def base(self, document: Document, field: str, file: Shipped) -> str:
        """The name without its extension."""
        template = self._template(document, field)
        given = file.stem
        if not self.original:
            given = template or f"sid-{document.sid}-file-{file.id}-%_asset.original_filename%"
            given = _VARIABLE.sub(lambda found: self._value(found[1], document, file), given)
        version = cleaned(f"-{file.version}")
        if not file.is_one_of_several or (not self.original and "%_asset.version%" in (template or "")):
            version = ""
        return (cleaned(given, less=len(version)) or cleaned(file.stem, less=len(version)) or "_") + version

    def _template(self, document: Document, field: str) -> str | None:
        if self.original or self.template:
            return self.template
        given = document.block.get(OF_OBJECT)
        if not isinstance(given, dict):
            return None
        found = given.get(field, given.get(f"{document.doctype}.{field}"))
        return self._text(found) or None

    def _value(self, name: str, document: Document, file: Shipped) -> str:
        if name.startswith(_MEASURES):
            return self._measure(name.removeprefix(_MEASURES), file)
        known = {
            "_asset.id": file.id,
            "_asset.class": file.file_class,
            "_asset.extension": file.extension,
            "_asset.original_filename": file.stem,
            "_asset.version": file.version,
            "_export.name": self.export,
            "_global_object_id": f"{document.sid}@{self.system}",
            "_system_object_id": document.sid,
            "_system.easydb.name": self.system,
        }
        if name in known:
            return str(known[name])
        return self._text(_walk(document.block, name.removeprefix(f"{document.doctype}.").split(".")))

    @staticmethod
    def _measure(name: str, file: Shipped) -> str:
        measures = file.measures()
        if name == "max_dimension":
            return str(max(measures.values())) if measures else ""
        return str(measures.get(name, ""))

    def _text(self, value: Any) -> str:
        """A value as a part of a name; of a translated one the owner's language, else the first that there is."""
        if isinstance(value, dict) and value and all(_LANGUAGE.fullmatch(key) for key in value):
            value = value.get(self.language) or next((text for text in value.values() if text), "")
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if isinstance(value, str | int | float) else ""


def _walk(value: Any, steps: list[str]) -> Any:
    """Rows of a table are named by their number, from 0; without one the first is meant."""
    for step in steps:
        if isinstance(value, list):
            if step.isascii() and step.isdigit():
                value = value[int(step)] if int(step) < len(value) else None
                continue
            value = value[0] if value else None
        value = value.get(step) if isinstance(value, dict) else None
    return value[0] if isinstance(value, list) and value else value
