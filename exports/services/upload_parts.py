"""Parts of one export of the move API as a person has them: files with names, in any order."""

import re
from collections import Counter
from collections.abc import Iterable

from exports.errors import ArchiveTooLarge, PartsMissing, PartsMixed
from exports.services.archives import BLOB, BLOBS

#: Sent in one form. More come by the link of the export, or by `cell_import`.
MOST_UPLOADED = 60
#: `My Cozy - part003.zip`, `cozy-export.part003.zip`, also with what a browser puts behind a name that is taken.
_NUMBER = re.compile(r"part([0-9]{3,5})(?:[ ._]?\([0-9]+\))?\.zip", re.IGNORECASE)
_TOLD = 20


def upload_source(parts: list[tuple[str, str]]) -> str:
    """The source of an import, of (name, SHA-256) each. Raises ArchiveTooLarge, PartsMixed, PartsMissing.

    What the parts hold is looked at when they are read; that some are missing can be seen by names alone.
    """
    if len(parts) == 1:
        return f"{BLOB}{parts[0][1]}"
    if len(parts) > MOST_UPLOADED:
        raise ArchiveTooLarge(found=len(parts), what="parts", limit=MOST_UPLOADED)
    parts_check(parts)
    return BLOBS + "\n".join(digest for _, digest in parts)


def parts_check(parts: list[tuple[str, str]]) -> None:
    """What names tell, of (name, what no other part has) each. Raises PartsMixed, PartsMissing."""
    _check_once((name for name, _ in parts), [own for _, own in parts])
    numbers = [int(found[1]) for name, _ in parts if (found := _NUMBER.search(name))]
    if len(numbers) == len(parts):
        _check_once((f"part{number:03}" for number in numbers), numbers)
        missing = sorted(set(range(max(numbers))).difference(numbers))
        if missing:
            more = ", …" if len(missing) > _TOLD else ""
            raise PartsMissing(names=", ".join(f"part{number:03}" for number in missing[:_TOLD]) + more)


def _check_once(names: Iterable[str], keys: list) -> None:
    counts = Counter(keys)
    for name, key in zip(names, keys, strict=True):
        if counts[key] > 1:
            raise PartsMixed(name=name[:200], count=counts[key])
