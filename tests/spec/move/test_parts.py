"""`spec/move.md §4.7`: where the parts of an export begin."""

import random

import pytest

from exports.engine.entries import Entry
from exports.engine.layouts.move import CONTENTS, DATA, FILES, VERSIONS
from exports.engine.parts import PartPlanner
from exports.engine.plan import Packer, VolumePlan, plan

#: "Worked vectors (P = 10)": files, versions, cursors, and what is in each part.
VECTORS = [
    ("a1:4 b2:4 c3:4", "", "files/c3", ["a1 b2", "c3"]),
    ("a1:5 b2:5", "", "", ["a1 b2"]),
    ("a1:5 b2:6", "", "files/b2", ["a1", "b2"]),
    ("a1:25 b2:1", "", "files/b2", ["a1", "b2"]),
    ("a1:3 b2:25 c3:3", "", "files/b2 files/c3", ["a1", "b2", "c3"]),
    ("a1:0 b2:0 c3:11 d4:1", "", "files/d4", ["a1 b2 c3", "d4"]),
    ("a1:6", "a1/v1:3 a1/v2:2", "versions/a1/v2", ["a1 a1/v1", "a1/v2"]),
    (
        "a1:6 b2:6",
        "a1/v1:3 a1/v2:9 b2/v1:9",
        "files/b2 versions/a1/v2 versions/b2/v1",
        ["a1", "b2 a1/v1", "a1/v2", "b2/v1"],
    ),
    ("a1:25", "a1/v1:0", "versions/a1/v1", ["a1", "a1/v1"]),
    ("10:6 9:6 A:6 a:6", "", "files/9 files/A files/a", ["10", "9", "A", "a"]),
    ("", "", "", [""]),
]


def sizes(text: str) -> dict[str, int]:
    return {id: int(size) for id, size in (item.split(":") for item in text.split())}


def entry(ordinal: int, name: str, size: int) -> Entry:
    return Entry(ordinal, name, None, 0o100640, 0, size, 0, "", "raw", size, 0, 0, b"")


def entries(files: dict[str, int], versions: dict[str, int]) -> list[Entry]:
    """As the layout gives them: `instance.json`, a folder, and two entries for each content."""
    found = [("instance.json", 999), (f"{FILES}/io.cozy.files.root-dir.json", 999)]
    made = [entry(ordinal, DATA + name, size) for ordinal, (name, size) in enumerate(found)]
    for doctype, contents in ((FILES, files), (VERSIONS, versions)):
        for id in sorted(contents, key=str.encode):
            made.append(entry(len(made), f"{DATA}{doctype}/{id}.json", 777))
            made.append(entry(len(made), f"{CONTENTS}{id}", contents[id]))
    return made


def planned(made: list[Entry], limit: int) -> list[VolumePlan]:
    planner = PartPlanner(Packer("parts", "zip", limit), seal="seal")
    plan(made, [planner])
    return planner.finish()


def cursors_of(made: list[Entry], volumes: list[VolumePlan]) -> list[str]:
    return [made[volume.first].name.removeprefix(DATA).removesuffix(".json") for volume in volumes[1:]]


@pytest.mark.parametrize(("files", "versions", "cursors", "parts"), VECTORS)
def test_the_worked_vectors(files: str, versions: str, cursors: str, parts: list[str]) -> None:
    made = entries(sizes(files), sizes(versions))
    volumes = planned(made, 10)
    assert [each.removeprefix("io.cozy.").removeprefix("files.") for each in cursors_of(made, volumes)] == [
        each.removeprefix("files.") for each in cursors.split()
    ]
    held = [
        " ".join(each.name.removeprefix(CONTENTS) for each in made[volume.first : volume.last] if CONTENTS in each.name)
        for volume in volumes
    ]
    assert held == parts


def as_the_spec_says(files: dict[str, int], versions: dict[str, int], limit: int) -> list[str]:
    """§4.7, statement by statement."""
    cursors, remaining = [], limit
    for doctype, contents in ((FILES, files), (VERSIONS, versions)):
        for id in sorted(contents, key=str.encode):
            if contents[id] > remaining and remaining != limit:
                cursors.append(f"{doctype}/{id}")
                remaining = limit
            remaining -= contents[id]
    return cursors


def test_every_content_is_in_exactly_one_part_beside_its_document() -> None:
    """§14: "a randomised test with tiny parts was added: every file in exactly one part. Keep that property test." """
    chance = random.Random(7)
    for _ in range(300):
        files = {f"{chance.randrange(10**6):06x}": chance.randrange(0, 30) for _ in range(chance.randrange(12))}
        versions = {f"{id}/v{n}": chance.randrange(0, 30) for id in files for n in range(chance.randrange(3))}
        limit, made = chance.randrange(1, 40), entries(files, versions)
        volumes = planned(made, limit)
        assert cursors_of(made, volumes) == as_the_spec_says(files, versions, limit)
        assert [at for volume in volumes for at in range(volume.first, volume.last)] == list(range(len(made)))
        for volume in volumes:
            held = made[volume.first : volume.last]
            assert volume.end.count == len(held)
            assert not held[0].name.startswith(CONTENTS) and (held[-1].name.startswith(CONTENTS) or len(volumes) == 1)
