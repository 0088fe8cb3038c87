"""What goes into which volume, how long it is, and by what name (ETag) it is known."""

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exports.engine.entries import EXECUTABLE_MODE, FILE_MODE, Entry, Mark
from exports.engine.formats import FORMATS
from exports.engine.manifest import Seal
from exports.engine.plan import PACKERS, Packer, Planner, VolumePlan, marks_pack, marks_unpack, plan
from exports.engine.volumes import stream, write
from tests.engine.making import MTIME, Making

COMPUTED = [name for name, each in FORMATS.items() if each.computed]


def sized(tmp_path: Path, sizes: list[int]) -> Making:
    made = Making(tmp_path)
    for number, size in enumerate(sizes):
        made.file(f"{number:04}", b"x" * size)
    return made


def expected_volumes(sizes: list[int], limit: int) -> list[list[int]]:
    """`spec/v1.md §9.2`, word by word: "walk in order, add input sizes; when adding the next file would exceed the
    limit and the current archive is not empty, start a new one"."""
    volumes: list[list[int]] = [[]]
    for number, size in enumerate(sizes):
        if volumes[-1] and sum(sizes[each] for each in volumes[-1]) + size > limit:
            volumes.append([])
        volumes[-1].append(number)
    return volumes


@pytest.mark.parametrize("kind", FORMATS)
@given(sizes=st.lists(st.one_of(st.integers(0, 30), st.integers(90, 110), st.just(300)), max_size=40))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_volumes_are_cut_as_the_spec_says(kind: str, sizes: list[int], tmp_path: Path) -> None:
    made = sized(tmp_path, sizes)
    plans = made.plans(Packer("a", kind, 100))
    found = [[entry.ordinal for entry in each.entries(made.source)] for each in plans]
    assert found == expected_volumes(sizes, 100)


@pytest.mark.parametrize(
    ("sizes", "volumes"),
    [
        ([100], [[0]]),
        ([101], [[0]]),
        ([60, 40], [[0, 1]]),
        ([60, 41], [[0], [1]]),
        ([10, 500, 10], [[0], [1], [2]]),
        ([500, 0], [[0], [1]]),
        ([0, 500], [[0], [1]]),
        ([0, 0, 100, 0], [[0, 1, 2, 3]]),
        ([], [[]]),
    ],
)
def test_a_file_is_never_split_and_a_bigger_one_is_alone(sizes: list[int], volumes: list, tmp_path: Path) -> None:
    made = sized(tmp_path, sizes)
    plans = made.plans(Packer("a", "zip", 100))
    assert [[entry.ordinal for entry in each.entries(made.source)] for each in plans] == volumes


def test_the_limits_are_those_of_the_spec() -> None:
    assert PACKERS["zip_10mb"].limit == 10 * 1024 * 1024
    assert PACKERS["zip_2gb"].limit == 2 * 1024**3
    assert all(PACKERS[name].limit is None for name in ("zip", "tar", "tar_gz", "tar_bz2"))


@pytest.mark.parametrize("kind", FORMATS)
def test_every_entry_is_in_one_volume_and_the_closing_entry_in_all(kind: str, tmp_path: Path) -> None:
    made = sized(tmp_path, [30, 80, 0, 150, 20, 20, 70])
    closing = made.file("manifest.json", b"{}" * 400)
    plans = made.plans(Packer("a", kind, 100), closing=closing)
    assert len(plans) == 5
    ordinals = [entry.ordinal for each in plans for entry in each.entries(made.source)]
    assert [each for each in ordinals if each != closing.ordinal] == list(range(7))
    assert ordinals.count(closing.ordinal) == len(plans)
    for number, each in enumerate(plans):
        path = tmp_path / f"{number}{FORMATS[kind].extension}"
        write(each, made.source, str(path))
        if kind == "zip":
            with zipfile.ZipFile(path) as archive:
                assert archive.namelist()[-1] == "manifest.json" and archive.testzip() is None
    assert len({each.etag for each in plans}) == len(plans)


@pytest.mark.parametrize("kind", COMPUTED)
def test_entries_that_are_missing_leave_no_hole(kind: str, tmp_path: Path) -> None:
    """Damaged entries leave the manifest but not its numbering; every 1,024th of them is a mark."""
    full, made = sized(tmp_path, [3] * 5000), Making(tmp_path)
    made.entries = [entry for entry in full.entries if entry.ordinal % 3 and not 1000 < entry.ordinal < 1100]
    closing = full.file("manifest.json", b"{}")

    def source(first: int, last: int):
        return iter([each for each in [*made.entries, closing] if first <= each.ordinal < last])

    planner = Planner(PACKERS[kind], seal="seal", closing=closing)
    plan(source(0, closing.ordinal), [planner])
    (only,) = planner.finish()
    whole = b"".join(stream(only, source))
    assert len(whole) == only.length and only.end.count == len(made.entries) + 1
    for start in (mark.offset + step for mark in only.marks for step in (-1, 0, 1) if mark.offset + step >= 0):
        assert b"".join(stream(only, source, min(start, len(whole)))) == whole[start:]


def test_a_folder_can_be_taken_out_without_its_parents(tmp_path: Path) -> None:
    made = Making(tmp_path)
    made.file("a/b/one", b"1")
    made.file("a/b/ü/two", b"2")
    made.folder("a/b/empty/")
    for kind in COMPUTED:
        plan = made.plans(kind, strip=len("a/"))[0]
        assert [each.name for each in plan.entries(made.source)] == ["b/one", "b/ü/two", "b/empty/"]
        assert plan.length == len(b"".join(stream(plan, made.source)))
        assert plan.etag != made.only(kind).etag


@pytest.mark.parametrize("kind", FORMATS)
def test_an_empty_manifest_is_one_empty_archive(kind: str, tmp_path: Path) -> None:
    (only,) = Making(tmp_path).plans(kind)
    assert (only.first, only.last, only.closing, only.end) == (0, 0, None, Mark(0, 0, 0, 0))
    path = tmp_path / "empty"
    assert write(only, lambda first, last: iter(()), str(path)) == path.stat().st_size > 0


def test_marks_survive_packing() -> None:
    marks = (Mark(0, 0, 0, 0), Mark(1024, 2**40, 511, 1024), Mark(2**33, 2**63, 2**34, 2**32))
    assert marks_unpack(marks_pack(marks)) == marks
    assert marks_unpack(b"") == ()
    assert len(marks_pack(marks)) == 32 * 3


@pytest.mark.parametrize("kind", COMPUTED)
def test_a_plan_that_went_through_the_database_gives_the_same_bytes(kind: str, tmp_path: Path) -> None:
    made = sized(tmp_path, [number % 50 for number in range(3000)])
    plan = made.only(kind)
    again = replace(plan, marks=marks_unpack(marks_pack(plan.marks)))
    assert again == plan
    assert b"".join(stream(again, made.source, 5000)) == b"".join(stream(plan, made.source))[5000:]


NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=300).map(
    lambda text: text.replace("/", "_")
)
FILES = st.tuples(
    st.lists(NAMES, min_size=1, max_size=4).map("/".join),
    st.one_of(st.binary(max_size=600), st.integers(0, 70_000).map(lambda size: b"text " * (size // 5))),
    st.integers(-62_135_596_800 * 10**6, 253_402_300_799 * 10**6),
    st.sampled_from([FILE_MODE, EXECUTABLE_MODE, None]),
)


def drawn(tmp_path: Path, files: list[tuple[str, bytes, int, int | None]]) -> Making:
    made = Making(tmp_path)
    for name, data, mtime, mode in files:
        if mode is None:
            made.folder(name + "/", mtime=mtime)
        else:
            made.file(name, data, mtime=mtime, mode=mode)
    return made


@pytest.mark.parametrize("kind", COMPUTED)
@given(files=st.lists(FILES, max_size=12), cut=st.floats(0, 1))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_planned_length_is_the_real_one(kind: str, files: list, cut: float, tmp_path: Path) -> None:
    made = drawn(tmp_path, files)
    plan, whole = made.only(kind), made.bytes(kind)
    assert len(whole) == plan.length
    start = int(cut * len(whole))
    assert b"".join(stream(plan, made.source, start)) == whole[start:]


def sealed(entries: list[Entry]) -> str:
    seal = Seal()
    for entry in entries:
        seal.add(entry)
    return seal.hexdigest()


CHANGES = {
    "name": "other", "mode": EXECUTABLE_MODE, "mtime": MTIME + 1_000_000, "size": 99, "crc32": 1, "sha256": "0" * 64,
    "encoding": "other", "stored_size": 99, "stored_crc32": 1, "path": "elsewhere",
}  # fmt: skip


@pytest.mark.parametrize("field", CHANGES)
@pytest.mark.parametrize("which", [0, 1, -1])
def test_the_etag_differs_when_anything_that_decides_bytes_differs(field: str, which: int, tmp_path: Path) -> None:
    made = sized(tmp_path, [5, 6])
    made.file("manifest.json", b"{}")

    def etag(entries: list[Entry]) -> str:
        planner = Planner(PACKERS["zip"], seal=sealed(entries[:-1]), closing=entries[-1])
        plan(entries[:-1], [planner])
        return planner.finish()[0].etag

    before = etag(made.entries)
    assert before == etag(list(made.entries))
    changed = list(made.entries)
    changed[which] = changed[which]._replace(**{field: CHANGES[field]})
    assert changed != made.entries and etag(changed) != before


def test_the_etag_differs_by_format_volume_strip_and_order_but_not_by_place(tmp_path: Path) -> None:
    made = sized(tmp_path, [50, 60, 70])
    seal = sealed(made.entries)

    def etags(packer: Packer, **options: object) -> list[str]:
        return [each.etag for each in made.plans(packer, **{"seal": seal, **options})]

    whole = etags(PACKERS["zip"])
    all_of_them = [
        *whole, *etags(PACKERS["tar"]), *etags(PACKERS["tar_gz"]), *etags(PACKERS["tar_bz2"]),
        *etags(Packer("a", "zip", 100)), *etags(PACKERS["zip"], strip=1),
        *etags(PACKERS["zip"], seal=sealed(made.entries[::-1])), *etags(PACKERS["zip"], closing=made.entries[-1]),
    ]  # fmt: skip
    assert len(set(all_of_them)) == len(all_of_them) == 10
    made.entries = [each._replace(file="/elsewhere", offset=7) for each in made.entries]
    assert sealed(made.entries) == seal and etags(PACKERS["zip"]) == whole


def test_what_is_missing_is_part_of_the_seal() -> None:
    one, two, none = Seal(), Seal(), Seal()
    one.miss("a", "gone")
    two.miss("a", "damaged")
    assert len({each.hexdigest() for each in (one, two, none)}) == 3


def test_a_volume_plan_never_changes(tmp_path: Path) -> None:
    plan: VolumePlan = sized(tmp_path, [1]).only("zip")
    with pytest.raises(AttributeError):
        plan.length = 0
