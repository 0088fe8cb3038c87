"""`include_parents`: objects tell what they stand below, as `_path` (`spec/v1.md §4.2, §7.1, §8.5`).

Of an object with a parent `_path` is a list from its root down to itself, each named: ids and `_standard`. A document
has it at its top, and beside each link to such an object.
"""

from collections.abc import Iterator
from typing import Any

from exports.engine.produce.values import link_of, standard

Linked = dict[str, dict[str, Any]]
_IDS = ("_objecttype", "_system_object_id", "_global_object_id", "_uuid")


def above(block: dict[str, Any], linked: Linked) -> list[dict[str, Any]]:
    """The blocks of its parent, the parent's parent, and so on; a circle is walked once."""
    return [_block(parent) for parent in _parents(block, linked)]


def paths_tell(document: dict[str, Any], linked: Linked) -> None:
    """`document` and what it links get their `_path`, in place."""
    for target in (document, *linked.values()):
        if len(path := [*reversed(list(_parents(_block(target), linked))), target]) > 1:
            target["_path"] = [_named(each) for each in path]
    for value, id in _links(_block(document)):
        if path := linked.get(str(id), {}).get("_path"):
            value["_path"] = path


def _parents(block: dict[str, Any], linked: Linked) -> Iterator[dict[str, Any]]:
    seen = {block.get("_id")}
    while type(number := block.get("_id_parent")) is int and number not in seen:
        parent = linked.get(str(number))
        if parent is None:
            return
        seen.add(number)
        yield parent
        block = _block(parent)


def _links(value: Any) -> Iterator[tuple[dict[str, Any], int]]:
    """(value that is a link, id of what it links), at any depth; not those inside links."""
    for below in list(value.values()) if isinstance(value, dict) else value:
        if isinstance(below, dict) and (link := link_of(below)):
            yield below, link.id
        elif isinstance(below, dict | list):
            yield from _links(below)


def _named(target: dict[str, Any]) -> dict[str, Any]:
    block = _block(target)
    named = {key: block[key] for key in ("_id", "_version") if key in block}
    if (called := standard(block)) is not None:
        named["_standard"] = {"1": {"text": called}}
    return {**{key: target[key] for key in _IDS if key in target}, target["_objecttype"]: named}


def _block(target: dict[str, Any]) -> dict[str, Any]:
    return target[target["_objecttype"]]
