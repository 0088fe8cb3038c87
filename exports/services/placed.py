"""Which archives a target has from us, so that those that an export no longer has can go, and nothing else.

A set of archives is kept as {"name", "stem", "extension", "of"}: one may have hundreds of thousands.
"""

import re
from collections.abc import Iterator
from typing import TypedDict

from exports.models import Delivery, Run
from exports.services import filenames
from exports.states import DeliveryState


class Placed(TypedDict):
    """`name` is the export's, as part of file names; `stem` has the packer's mark as well, where it needs one."""

    name: str
    stem: str
    extension: str
    of: int


def placed_by(run: Run, packer: str) -> list[Placed]:
    """The archives that a delivery of `packer` puts there: one set, or none."""
    first = run.volumes.filter(packer=packer, number=1).first()
    if first is None:
        return []
    name = filenames.base_name(str(run.order.get("name") or ""))
    extension = filenames.EXTENSIONS[packer]
    order = run.order
    whole = filenames.volume_name(name, first, {*order.get("packers", ()), *order.get("delivered", ())})
    stem = whole.removesuffix(f".{extension}")
    return [Placed(name=name, stem=stem.removesuffix(".1") if first.of > 1 else stem, extension=extension, of=first.of)]


def placed_before(delivery: Delivery) -> list[Placed]:
    """By the last delivery that this export's transport made to the same place, under the name it has now.

    After a renaming the old archives stay: who renames keeps, or takes care of it himself.
    """
    earlier = Delivery.objects.filter(
        run__export=delivery.run.export_id,
        position=delivery.position,
        type=delivery.type,
        options=delivery.options,
        state=DeliveryState.DONE,
        pk__lt=delivery.pk,
    )
    found = earlier.order_by("-pk").values_list("placed", flat=True).first() or []
    name = filenames.base_name(str(delivery.run.order.get("name") or ""))
    return [each for each in found if each["name"] == name]


def stale_names(run: Run, before: list[Placed]) -> Iterator[str]:
    """Of `before`, what no transport of this run delivers under the same name."""
    now = [each for packer in run.order.get("delivered", ()) for each in placed_by(run, packer)]
    for each in before:
        for name in _names(each):
            if not any(_is_of(kept, name) for kept in now):
                yield name


def _names(placed: Placed) -> Iterator[str]:
    if placed["of"] == 1:
        yield f"{placed['stem']}.{placed['extension']}"
    else:
        yield from (f"{placed['stem']}.{number}.{placed['extension']}" for number in range(1, placed["of"] + 1))


def _is_of(placed: Placed, name: str) -> bool:
    stem, extension = re.escape(placed["stem"]), re.escape(placed["extension"])
    if placed["of"] == 1:
        return name == f"{placed['stem']}.{placed['extension']}"
    match = re.fullmatch(rf"{stem}\.([1-9][0-9]*)\.{extension}", name)
    return match is not None and int(match[1]) <= placed["of"]
