"""The parts of a definition that have rules of their own: `spec/v1.md §7.2, §8.2, §9, §10`. No database."""

import pytest

from exports.api.v1.definition import ATTRIBUTES
from exports.api.v1.file_rules import assets, classes, eas_fields
from exports.api.v1.transports import schedules, transports
from exports.errors import DefinitionRefused


def checked(name: str, value: object) -> object:
    """The attribute's own rule, without asking whether this version can produce it."""
    return ATTRIBUTES[name].check(f"export.{name}", value)


def check_refusal(name: str, value: object) -> str:
    with pytest.raises(DefinitionRefused) as caught:
        checked(name, value)
    return caught.value.params["fault"]


def test_legacy_eas_fields_become_a_map() -> None:
    """§4.3, second item."""
    assert eas_fields("x", ["a.b", "a.c"]) == {"a.b": {"files": True}, "a.c": {"files": True}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"version": "current+original"}, [{"type": "current"}, {"type": "original"}]),
        ({"version": "current"}, [{"type": "current"}]),
        ({"version": "custom", "format": "png"}, [{"type": "custom", "custom": {"format": "png"}}]),
    ],
)
def test_legacy_classes_become_lists(given: object, expected: object) -> None:
    """§4.3, third item."""
    assert classes("x", {"image": given}) == {"image": expected}


def test_legacy_assets_become_versions() -> None:
    """§4.3, fourth item."""
    given = {"12": {"version": "custom", "format": "tiff"}, "13": True, "14": False}
    expected = {"versions": [{"type": "custom", "custom": {"format": "tiff"}}]}
    assert assets("x", given) == {"12": expected, "13": True, "14": False}


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("classes", {"image": [{}]}, "attribute_expected"),
        ("classes", {"image": [{"type": "thumb"}]}, "invalid_value"),
        ("classes", {"image": [{"type": "version"}]}, "attribute_expected"),
        ("classes", {"image": [{"type": "custom"}]}, "attribute_expected"),
        ("classes", {"audio": [{"type": "custom", "custom": {}}]}, "invalid_value"),
        ("classes", {"image": [{"type": "custom", "custom": {"transform": {}}}]}, "attribute_not_accepted"),
        ("classes", {"image": [{"type": "custom", "custom": {"format": "gif"}}]}, "invalid_value"),
        ("classes", {"image": [{"type": "custom", "custom": {"quality": "101"}}]}, "invalid_value"),
        ("classes", {"office": [{"type": "original", "metadata": "keep"}]}, "invalid_value"),
        ("classes", {"image": [{"type": "original", "metadata": "some"}]}, "invalid_value"),
        ("classes", {"image": [{"type": "original", "metadata": 3}]}, "invalid_value"),
        ("classes", {"video": [{"type": "original", "metadata": "remove"}]}, "invalid_value"),
        ("classes", {"image": [{"type": "custom", "custom_version_preset": "press"}]}, "invalid_value"),
        ("assets", {"1": {"versions": {}}}, "type_mismatch"),
        ("assets", {"1": {"json": 1}}, "type_mismatch"),
        ("eas_fields", {"a.b": {"files": 1}}, "type_mismatch"),
        ("eas_fields", {"a.b": {"data": [{}]}}, "attribute_expected"),
        ("eas_fields", {"a.b": {"data": [{"type": "version"}]}}, "attribute_expected"),
        ("eas_fields", 7, "type_mismatch"),
    ],
)
def test_rules_for_files_are_checked(name: str, value: object, fault: str) -> None:
    """§8.2: violations are `invalid_value`, `attribute_expected`, or `attribute_not_accepted` for transform."""
    assert check_refusal(name, value) == fault


def test_transform_belongs_to_assets() -> None:
    """§8.2: `transform` only under `assets`."""
    whole = {"rotate": 270, "mirror": "vertical", "crop": {"left": 0, "top": 0, "width": 1, "height": 1}}
    for transform in ({}, whole):
        rule = {"1": {"versions": [{"type": "custom", "custom": {"transform": transform, "jpeg_quality": "80"}}]}}
        assert checked("assets", rule) == rule


@pytest.mark.parametrize(
    ("custom", "fault"),
    [
        ({"size": "custom"}, "attribute_expected"),
        ({"custom_size": "width"}, "attribute_expected"),
        ({"custom_size": "width", "custom_width_pixel": 5}, "attribute_expected"),
        ({"custom_size": "cover", "custom_width_pixel": 5}, "attribute_expected"),
        ({"custom_size": "width", "custom_size_pixel": 0}, "invalid_value"),
        ({"custom_size": "width", "custom_size_pixel": 65_536}, "invalid_value"),
        ({"custom_size": "width", "custom_size_pixel": "5"}, "type_mismatch"),
        ({"colorspace": "cmyk", "format": "png"}, "invalid_value"),
        ({"watermark": True}, "invalid_value"),
        ({"watermark": 1}, "type_mismatch"),
        ({"colorprofile": "Adobe"}, "invalid_value"),
        ({"transform": {"rotate": 45}}, "invalid_value"),
        ({"transform": {"rotate": "90"}}, "type_mismatch"),
        ({"transform": {"mirror": "both"}}, "invalid_value"),
        ({"transform": {"shear": 1}}, "invalid_value"),
        ({"transform": {"crop": {"left": 0}}}, "attribute_expected"),
        ({"transform": {"crop": {"left": 0, "top": 0, "width": 0, "height": 1}}}, "invalid_value"),
    ],
)
def test_a_rendition_that_cannot_be_made_is_refused(custom: dict[str, object], fault: str) -> None:
    """§8.2, `custom`: what is asked for must be possible, as far as one can tell without the picture."""
    assert check_refusal("assets", {"1": {"versions": [{"type": "custom", "custom": custom}]}}) == fault


def test_a_watermark_needs_one_on_the_server(settings) -> None:
    rule = {"image": [{"type": "custom", "custom": {"watermark": True}}]}
    settings.WATERMARK_FILE = "/somewhere/mark.png"
    assert checked("classes", rule) == rule


def test_a_size_that_is_kept_needs_no_numbers() -> None:
    rule = {"image": [{"type": "custom", "custom": {"size": "keep", "custom_size": "width"}}]}
    assert checked("classes", rule) == rule


@pytest.mark.parametrize(
    ("search", "fault"),
    [
        ({"type": "asset"}, "invalid_value"),
        ({"objecttypes": "book"}, "type_mismatch"),
        ({"objecttypes": [1]}, "type_mismatch"),
        ({"search": {}}, "type_mismatch"),
        ({"search": [1]}, "type_mismatch"),
        ({"search": [{}]}, "attribute_expected"),
        ({"search": [{"type": "geo_shape"}]}, "invalid_value"),
        ({"search": [{"type": "in", "in": [], "bool": "may"}]}, "invalid_value"),
        ({"search": [{"type": "in"}]}, "attribute_expected"),
        ({"search": [{"type": "complex", "search": [{"type": "?"}]}]}, "invalid_value"),
        ({"limit": -5}, "invalid_value"),
        ({"limit": "5"}, "type_mismatch"),
        ({"offset": "5"}, "type_mismatch"),
        ({"sort": [{"field": "year", "with_path": 1}]}, "type_mismatch"),
    ],
)
def test_a_search_we_cannot_run_is_refused(search: dict[str, object], fault: str) -> None:
    """§7.2, and: never more than was asked for."""
    assert check_refusal("search", search) == fault


@pytest.mark.parametrize(
    "search",
    [
        {},
        {"type": "object", "objecttypes": ["book"], "search": []},
        {"type": "", "objecttypes": None, "search": None, "limit": None, "offset": 0, "sort": []},
        {"format": "long", "language": "de-DE", "generate_rights": False, "something": {"else": 1}},
    ],
)
def test_match_all_and_objecttypes_are_kept_as_they_came(search: dict[str, object]) -> None:
    """§7.2: missing, null or [] is everything; other keys are ignored."""
    assert checked("search", search) == search


@pytest.mark.parametrize(
    ("packer", "kept"),
    [
        (None, None),
        ("folder", None),
        ("zip", "zip"),
        ("zip_10mb", "zip_10mb"),
        ("zip_2gb", "zip_2gb"),
        ("tar", "tar"),
        ("tar_gz", "tar_gz"),
        ("tar.gz", "tar_gz"),
        ("tar_bz2", "tar_bz2"),
    ],
)
def test_every_packer_of_the_table_is_accepted(packer: str | None, kept: str | None) -> None:
    """§9.2."""
    assert transports("_transports", [{"type": "download", "packer": packer}])[0].packer == kept


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, "attribute_expected"),
        ({"type": 1}, "type_mismatch"),
        ({"type": "pigeon"}, "invalid_value"),
        ({"type": "rsync"}, "attribute_expected"),
        ({"type": "email"}, "attribute_expected"),
        ({"type": "email", "email": {"recipients": []}}, "attribute_expected"),
        ({"type": "ftp", "options": {"server": "host", "password": 1}}, "type_mismatch"),
        ({"type": "ftp", "options": {"server": "host", "packer": "rar"}}, "invalid_value"),
        ({"type": "download", "packer": "rar"}, "invalid_value"),
        ({"type": "download", "packer": 1}, "type_mismatch"),
        ({"type": "download", "options": []}, "type_mismatch"),
        ({"type": "download", "email": {"recipients": [{"user": {"_id": 0}}]}}, "invalid_value"),
        ({"type": "download", "email": {"recipients": "me"}}, "type_mismatch"),
        ({"type": "download", "email": {"message": 1}}, "type_mismatch"),
        ("download", "type_mismatch"),
    ],
)
def test_a_bad_transport_is_refused(given: object, fault: str) -> None:
    """§9.1, §9.2."""
    with pytest.raises(DefinitionRefused) as caught:
        transports("_transports", [given])
    assert caught.value.params["fault"] == fault


def test_the_plugin_spelling_of_a_download_is_understood_and_its_options_are_dropped() -> None:
    """§9.1 (`plugin`, empty = download), §9.3 (no options): a password of another transport is not kept."""
    [spec] = transports("_transports", [{"plugin": "", "options": {"password": "secret"}, "_state": "done"}])
    assert (spec.type, spec.options) == ("download", {})


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ([1], "type_mismatch"),
        ([{"weekdays": "monday"}], "type_mismatch"),
        ([{"weekdays": ["Caturday"]}], "invalid_value"),
        ([{"hours": [24]}], "invalid_value"),
        ([{"minutes": [60]}], "invalid_value"),
        ([{"days_of_month": [0]}], "invalid_value"),
        ([{"hours": ["3"]}], "type_mismatch"),
        ([{"timezone": "Mars/Olympus"}], "invalid_value"),
    ],
)
def test_a_bad_schedule_is_refused(given: object, fault: str) -> None:
    """§10."""
    with pytest.raises(DefinitionRefused) as caught:
        schedules("_schedules", given)
    assert caught.value.params["fault"] == fault


def test_schedules_take_both_spellings_and_give_the_table_s() -> None:
    """C12, C26."""
    given = [{"weekdays": ["Sunday", "mon"], "hour": [3], "minutes": [0, 30], "day_of_month": [1], "timezone": "UTC"}]
    expected = {
        "weekdays": ["Sunday", "mon"],
        "hours": [3],
        "minutes": [0, 30],
        "days_of_month": [1],
        "timezone": "UTC",
    }
    assert schedules("_schedules", given) == [expected]
    assert schedules("_schedules", None) == schedules("_schedules", []) == []
