"""Objects that documents link: looked up for some documents at a time, and handed on with each (`spec/v1.md §8.5`).

What a document needs of them is `{id as text: object}`. An object that is to be embedded is whole; of others there is
what they are called by, and of its parents too where a hierarchy is asked for.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from cells.frozen import Snapshot
from exports.engine.layouts.assets import Document
from exports.engine.notes import Notes
from exports.engine.produce.options import Merge
from exports.engine.produce.values import Link, links_in, loads

#: Bytes of linked objects held for the documents at hand. Documents that reach more are taken one by one; one that
#: still does is written with the rest of its links unmerged, and a warning.
HELD = 16 * 1024 * 1024
#: Objects that one document embeds or names, for the same reason.
MOST = 2000
FOUND = 10_000
#: Parents of parents are followed so far; cycles end here too.
HIGHEST = 64
#: Ids asked for in one query.
ASKED = 1000
#: What is kept of an object that is not embedded.
_CALLED = ("_id", "_version", "_id_parent", "_standard", "title", "name", "displayname", "label")


class _TooMuch(Exception):
    pass


class _Found:
    def __init__(self, *, strict: bool) -> None:
        self.objects: dict[int, dict[str, Any]] = {}
        self.asked: set[int] = set()
        self._size, self._strict = 0, strict

    def has_room(self, size: int) -> bool:
        self._size += size
        full = self._size > HELD or len(self.objects) >= FOUND
        if full and self._strict:
            raise _TooMuch
        return not full


class Linker:
    """`cells`: ids of those that may be looked into. `parents`: whether hierarchies are wanted."""

    def __init__(
        self, snapshot: Snapshot, cells: list[int], instance: str, merge: Merge, parents: bool, notes: Notes
    ) -> None:
        self._snapshot, self._cells, self._instance = snapshot, cells, instance
        self._merge, self._parents, self._notes = merge, parents, notes
        self._depth = merge.depth if merge.policy != "none" else 0

    def concerns(self, text: bytes) -> bool:
        """Whether the document may have a link or a parent; the `_id` of its own block does not count."""
        return text.count(b'"_id"') > 1 or (self._parents and b'"_id_parent"' in text)

    def linked(self, documents: Sequence[Document]) -> list[dict[str, Any]]:
        """For each document its linked objects."""
        try:
            found = self._gather([document.block for document in documents], strict=len(documents) > 1)
        except _TooMuch:
            half = len(documents) // 2
            return self.linked(documents[:half]) + self.linked(documents[half:])
        return [self._needed(document, found) for document in documents]

    def _gather(self, blocks: list[dict[str, Any]], *, strict: bool) -> dict[int, dict[str, Any]]:
        """{id: object} of all that these blocks reach, level by level. `strict`: _TooMuch rather than a part of it."""
        found = _Found(strict=strict)
        expanded: set[int] = set()
        level = blocks
        for distance in range(self._depth + 1):
            wanted: dict[int, bool] = {}
            for link, reverse in (pair for block in level for pair in links_in(block)):
                whole = distance < self._depth and self._merge.embeds(link.objecttype, reverse=reverse)
                wanted[link.id] = wanted.get(link.id, False) or whole
            self._fetch(wanted, found)
            whole_ids = [number for number, whole in wanted.items() if whole and number not in expanded]
            expanded.update(whole_ids)
            level = [_block(found.objects[number]) for number in whole_ids if number in found.objects]
            if not level:
                break
        level = [*blocks, *map(_block, found.objects.values())]
        for _ in range(HIGHEST if self._parents else 0):
            level = self._fetch([block.get("_id_parent") for block in level], found)
            if not level:
                break
        return found.objects

    def _fetch(self, ids: Iterable[object], found: "_Found") -> list[dict[str, Any]]:
        """Blocks of what was not known yet."""
        new = sorted({number for number in ids if type(number) is int and 0 < number < 2**63} - found.asked)
        found.asked.update(new)
        blocks = []
        for first in range(0, len(new), ASKED):
            some = new[first : first + ASKED]
            for sid, _, doctype, _, text in self._snapshot.objects_by_id(some, self._cells, self._instance):
                if not found.has_room(len(text)):
                    return blocks
                found.objects[sid] = loads(text)
                blocks.append(found.objects[sid][doctype])
        return blocks

    def _needed(self, document: Document, found: dict[int, dict[str, Any]]) -> dict[str, Any]:
        needed: dict[str, Any] = {}
        whole: set[int] = {document.sid}
        level = [document.block]
        self._name_parents(document.block, found, needed)
        for distance in range(self._depth + 1):
            below = []
            for link, reverse in (pair for block in level for pair in links_in(block)):
                target = found.get(link.id)
                if target is None or link.objecttype not in target:
                    self._warn_lost(document, link, found)
                    continue
                if len(needed) >= MOST:
                    self._notes.warn(
                        f"Document {document.sid} reaches more than {MOST} linked objects; the rest is not merged."
                    )
                    return needed
                if distance < self._depth and self._merge.embeds(link.objecttype, reverse=reverse):
                    needed[str(link.id)] = target
                    if link.id not in whole:
                        whole.add(link.id)
                        below.append(target[link.objecttype])
                else:
                    needed.setdefault(str(link.id), _called(target))
                self._name_parents(target[link.objecttype], found, needed)
            level = below
        return needed

    def _warn_lost(self, document: Document, link: Link, found: dict[int, dict[str, Any]]) -> None:
        """Links to nothing are people's own business; links that a limit cut are ours."""
        if link.id not in found and len(found) >= FOUND:
            self._notes.warn(f"Document {document.sid} reaches too many linked objects; the rest is not merged.")

    def _name_parents(self, block: dict[str, Any], found: dict[int, dict[str, Any]], needed: dict[str, Any]) -> None:
        for _ in range(HIGHEST if self._parents else 0):
            number = block.get("_id_parent")
            parent = found.get(number) if type(number) is int else None
            if parent is None:
                return
            needed.setdefault(str(parent["_system_object_id"]), _called(parent))
            block = _block(parent)


def _block(target: dict[str, Any]) -> dict[str, Any]:
    return target[target["_objecttype"]]


def _called(target: dict[str, Any]) -> dict[str, Any]:
    objecttype = target["_objecttype"]
    block = target[objecttype]
    return {
        **{key: value for key, value in target.items() if key != objecttype},
        objecttype: {key: block[key] for key in _CALLED if key in block},
    }
