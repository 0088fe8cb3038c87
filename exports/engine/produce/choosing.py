"""`fields` and languages (`spec/v1.md §8.1, §8.4`): what of a document is written, and under which names."""

from typing import Any

from exports.engine.produce.options import Fields
from exports.engine.produce.values import is_translated, standard

#: {name: what is wanted below it}; True is all of it.
_Tree = dict[str, Any]
#: What JSON and XML keep of every object, whatever was chosen.
ROW_KEYS = ("_objecttype", "_system_object_id")
#: Is there only if it was asked for by an option of its own.
PATH = "_path"


class Chooser:
    """Leaves of documents what was asked for. Works on documents in place, and gives the same back."""

    def __init__(self, fields: Fields, languages: tuple[str, ...] | None) -> None:
        self._fields, self._languages = fields, languages
        self._trees: dict[str, _Tree] = {}

    @property
    def is_needed(self) -> bool:
        return self._fields is not None or self._languages is not None

    def choose(self, objecttype: str, document: dict[str, Any]) -> dict[str, Any]:
        if self._fields is not None:
            tree = self._trees.get(objecttype)
            if tree is None:
                tree = self._trees[objecttype] = _tree(paths_of(self._fields, objecttype))
            block = {key: value for key, value in document[objecttype].items() if key in tree}
            if "_standard" in tree and (called := standard(document[objecttype])) is not None:
                block["_standard"] = called  # what it is made of may not have been chosen
            document = {key: value for key, value in document.items() if key in (*ROW_KEYS, PATH) or key in tree}
            document[objecttype] = {key: _pruned(value, tree[key]) for key, value in block.items()}
        return self.translate(document)

    def translate(self, document: dict[str, Any]) -> dict[str, Any]:
        """Languages alone: what is linked is not chosen by `fields`."""
        if self._languages is not None:
            objecttype = document["_objecttype"]
            languages = frozenset(self._languages)
            document[objecttype] = _spoken(document[objecttype], languages)
            if PATH in document:
                document[PATH] = _spoken(document[PATH], languages)
        return document


def paths_of(fields: Fields, objecttype: str) -> dict[str, str]:
    """{path behind the objecttype: the field as it was given}. A path may begin with the objecttype, or not."""
    return {field.removeprefix(f"{objecttype}."): field for field in fields or ()}


def _tree(paths: dict[str, str]) -> _Tree:
    tree: _Tree = {}
    for path in sorted(paths, key=len):
        level = tree
        *above, leaf = path.split(".")
        for part in above:
            level = level.setdefault(part, {})
            if level is True:
                break
        else:
            level[leaf] = True
    return tree


def _pruned(value: Any, tree: Any) -> Any:
    """What is identified by an `_id` keeps it: a link without one would be none."""
    if tree is True:
        return value
    if isinstance(value, list):
        return [_pruned(item, tree) for item in value]
    if isinstance(value, dict):
        return {key: _pruned(below, tree.get(key, True)) for key, below in value.items() if key in tree or key == "_id"}
    return None


def _spoken(value: Any, languages: frozenset[str]) -> Any:
    if isinstance(value, list):
        return [_spoken(item, languages) if isinstance(item, dict | list) else item for item in value]
    if is_translated(value):
        return {language: text for language, text in value.items() if language in languages}
    return {key: _spoken(item, languages) if isinstance(item, dict | list) else item for key, item in value.items()}


class Labels:
    """`display_name`s of an objecttype's fields; with `language`, `display_names` go first."""

    def __init__(self, fields: Fields, objecttype: str, language: str | None = None) -> None:
        self._labels: dict[str, str] = {}
        for path, field in paths_of(fields, objecttype).items():
            rule = (fields or {})[field]
            names = rule.get("display_names") if language else None
            label = (names.get(language) if isinstance(names, dict) else None) or rule.get("display_name")
            if label:
                self._labels[path] = str(label)

    def of(self, path: str) -> str | None:
        """`path`: dotted, behind the objecttype."""
        return self._labels.get(path)

    def __bool__(self) -> bool:
        return bool(self._labels)
