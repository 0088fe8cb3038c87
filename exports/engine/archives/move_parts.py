"""Which archives are parts of an export of the move API, and of which (`spec/move.md §4.7–§4.8`)."""

from collections import Counter
from itertools import islice
from typing import Any

import orjson

from exports.engine.archives.base import Archive, Member
from exports.engine.archives.layout import LONGEST, checked_line, lines
from exports.engine.archives.ours import manifest_of
from exports.engine.layouts.move import DATA, FILES, INSTANCE, VERSIONS
from exports.errors import PartsMissing, PartsMixed


def parts_ordered(parts: list[Archive]) -> list[Archive]:
    """The parts of one export, the one with `instance.json` first. Raises PartsMissing, PartsMixed.

    Two of them begin with the same thing only if they are the same part: else each begins with what its cursor names.
    """
    first = [part for part in parts if part.find(INSTANCE) is not None]
    if not first:
        raise PartsMissing(names="part000")
    for name, count in Counter(_begins(part).name for part in parts if part.count).items():
        if count > 1:
            raise PartsMixed(name=name.removeprefix(DATA)[:200], count=count)
    return [*first, *(part for part in parts if part is not first[0])]


def is_part(archive: Archive) -> bool:
    """Whether it is a part of an export of the move API, the first or another."""
    if not archive.count:
        return False
    follows = _begins(archive).name.startswith((f"{DATA}{FILES}/", f"{DATA}{VERSIONS}/"))
    return is_move(archive) or (follows and manifest_of(archive) is None)


def _begins(part: Archive) -> Member:
    return next(part.members())


def is_move(archive: Archive) -> bool:
    """Whether it is a first part of the move layout: also when we closed it by our manifest, which then begins so.

    A cell may hold a file of that name; but then it is no generated one.
    """
    if archive.find(INSTANCE) is None:
        return False
    closing = manifest_of(archive)
    if closing is None:
        return True
    with archive.open(closing) as content:
        begun = [line for _, line in islice(lines(content, closing.name), 2)]
    if len(begun) < 2:
        return False
    first = checked_line(closing.name, 2, begun[1].removesuffix(b","))
    return first.get("name") == INSTANCE and first.get("generated") is True


def instance(part: Archive) -> dict[str, Any]:
    """`instance.json`, which no import takes anything from; {} when it is none."""
    member = part.find(INSTANCE)
    if member is None or member.size > LONGEST:
        return {}
    with part.open(member) as content:
        text = content.read(member.size + 1)
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
