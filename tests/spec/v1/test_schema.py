"""What comes in, attribute by attribute: `spec/v1.md §4.2, §4.3, §5.4`. No database."""

import pytest

from exports.api.v1.schema import create_arguments, update_arguments
from exports.errors import DefinitionRefused, VersionMismatch
from exports.models import Export


def body(**attributes: object) -> dict[str, object]:
    return {"export": {"search": {}, **attributes}}


def refusal(given: object) -> tuple[str, str]:
    with pytest.raises(DefinitionRefused) as caught:
        create_arguments(given)
    return caught.value.params["fault"], caught.value.params["attribute"]


def test_defaults_are_those_of_the_attribute_table() -> None:
    """§4.2, column "default"."""
    arguments = create_arguments(body())
    assert (arguments["type"], arguments["name"], arguments["cells"]) == ("export", "", None)
    assert arguments["transports"] == arguments["schedules"] == []
    definition = arguments["definition"]
    assert {name: definition[name] for name in ("fields", "eas_fields", "classes", "assets", "csv", "xml")} == {
        "fields": None,
        "eas_fields": None,
        "classes": {},
        "assets": {},
        "csv": False,
        "xml": False,
    }
    assert definition["merge_linked_objects"] == "none"
    assert definition["merge_max_depth"] == 1
    assert definition["mapping"] == "easydb"
    assert definition["batch_size"] is None
    assert definition["produce_options"] == {"plugin": "easydb"}


def test_defaults_of_two_exports_share_nothing() -> None:
    first, second = create_arguments(body()), create_arguments(body())
    first["definition"]["classes"]["image"] = []
    assert second["definition"]["classes"] == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("attribute_expected", "export")),
        ({"export": None}, ("type_mismatch", "export")),
        ({"export": []}, ("type_mismatch", "export")),
        ({"export": {}}, ("attribute_expected", "export.search")),
        ({"export": {"search": None}}, ("attribute_expected", "export.search")),
        ({"export": {"search": []}}, ("type_mismatch", "export.search")),
        ([], ("type_mismatch", "body")),
        ({**body(), "_basetype": "book"}, ("invalid_value", "_basetype")),
        (body(type="copy"), ("invalid_value", "export.type")),
        (body(type=1), ("type_mismatch", "export.type")),
        (body(name=7), ("type_mismatch", "export.name")),
        (body(name=None), ("type_mismatch", "export.name")),
        (body(name="x" * 256), ("invalid_value", "export.name")),
        (body(name="a\0b"), ("invalid_value", "body")),
        (body(fields=[]), ("type_mismatch", "export.fields")),
        (body(fields={"a": 1}), ("type_mismatch", "export.fields.a")),
        (body(fields={"a": {"display_name": 1}}), ("type_mismatch", "export.fields.a.display_name")),
        (body(classes=[]), ("type_mismatch", "export.classes")),
        (body(classes=None), ("type_mismatch", "export.classes")),
        (body(classes={"statue": []}), ("invalid_value", "export.classes.statue")),
        (body(classes={"image": "x"}), ("type_mismatch", "export.classes.image")),
        (body(assets={"a1": True}), ("invalid_value", "export.assets.a1")),
        (body(assets={"1": 1}), ("type_mismatch", "export.assets.1")),
        (body(csv=True), ("type_mismatch", "export.csv")),
        (body(csv="x"), ("type_mismatch", "export.csv")),
        (body(csv={"delimiter": ";;"}), ("invalid_value", "export.csv.delimiter")),
        (body(csv={"delimiter": 1}), ("type_mismatch", "export.csv.delimiter")),
        (body(csv={"hierarchy": "|"}), ("invalid_value", "export.csv.hierarchy")),
        (body(xml=1), ("type_mismatch", "export.xml")),
        (body(json=None), ("type_mismatch", "export.json")),
        (body(flat="yes"), ("type_mismatch", "export.flat")),
        (body(merge_linked_objects="some"), ("invalid_value", "export.merge_linked_objects")),
        (body(merge_max_depth=10), ("invalid_value", "export.merge_max_depth")),
        (body(merge_max_depth="0"), ("invalid_value", "export.merge_max_depth")),
        (body(merge_max_depth="x"), ("type_mismatch", "export.merge_max_depth")),
        (body(merge_max_depth=True), ("type_mismatch", "export.merge_max_depth")),
        (body(mapping="mine"), ("invalid_value", "export.mapping")),
        (body(mapping=17), ("invalid_value", "export.mapping")),
        (body(batch_size=-1), ("invalid_value", "export.batch_size")),
        (body(batch_size="5"), ("type_mismatch", "export.batch_size")),
        (body(produce_options=None), ("type_mismatch", "export.produce_options")),
        (body(produce_options={"plugin": 1}), ("type_mismatch", "export.produce_options.plugin")),
        (body(produce_options={"plugin": "a:b"}), ("invalid_value", "export.produce_options.plugin")),
        (body(xslt_xml_post_processing={}), ("attribute_expected", "export.xslt_xml_post_processing._id")),
        (body(filename_original=True, filename_template="x"), ("invalid_value", "export.filename_template")),
        (body(cells="c"), ("type_mismatch", "export.cells")),
        (body(cells=[1]), ("type_mismatch", "export.cells[0]")),
        (body(cells=[]), ("invalid_value", "export.cells")),
        (body(cells=["a", "a"]), ("invalid_value", "export.cells")),
        (body(_version="1"), ("type_mismatch", "export._version")),
        ({**body(), "_transports": {}}, ("type_mismatch", "_transports")),
        ({**body(), "_schedules": {}}, ("type_mismatch", "_schedules")),
    ],
)
def test_a_bad_value_has_the_error_of_its_attribute(given: object, expected: tuple[str, str]) -> None:
    """§4.2, column "error"; the classes are those of §3.2."""
    assert refusal(given) == expected


def test_put_accepts_version_one_and_no_other() -> None:
    """§4.2: on PUT `_version`, if sent, must be 1."""
    assert create_arguments(body(_version=1))
    with pytest.raises(VersionMismatch):
        create_arguments(body(_version=2))


def test_unknown_keys_are_accepted_and_not_kept() -> None:
    """§4.2, last row: a client sends `limit: null` and `offset: null`."""
    arguments = create_arguments(body(limit=None, offset=None, colour="red"))
    assert not {"limit", "offset", "colour"} & set(arguments["definition"])


def test_a_body_without_wrapper_is_the_export() -> None:
    """§4.3, first item."""
    arguments = create_arguments({"search": {"objecttypes": ["book"]}, "type": "download", "name": "flat"})
    assert (arguments["type"], arguments["name"]) == ("download", "flat")
    assert arguments["definition"]["search"] == {"objecttypes": ["book"]}


def test_all_languages_of_csv_belongs_to_the_export() -> None:
    """§4.3, fifth item; the table itself is refused here, so the rule is seen in an update that carries both."""
    with pytest.raises(DefinitionRefused) as caught:
        create_arguments(body(csv={"all_languages": 1}))
    assert caught.value.params["attribute"] == "export.all_languages"


def test_a_digit_string_is_a_depth() -> None:
    """§4.2 `merge_max_depth`."""
    assert create_arguments(body(merge_max_depth="3"))["definition"]["merge_max_depth"] == 3


def test_the_produce_plugin_is_shown_when_absent_and_other_options_pass() -> None:
    """§4.2 `produce_options`."""
    options = create_arguments(body(produce_options={"addLinkedData": True}))["definition"]["produce_options"]
    assert options == {"addLinkedData": True, "plugin": "easydb"}


def export() -> Export:
    return Export(pk=17, type="export", name="", version=3, definition=create_arguments(body())["definition"])


def test_an_update_holds_only_what_was_sent() -> None:
    """§5.4: only attributes present in the body change."""
    changes, version = update_arguments({"export": {"json": True}}, export())
    assert changes == {"definition": {"json": True}}
    assert version is None


def test_an_update_of_transports_alone_needs_no_export() -> None:
    changes, _ = update_arguments({"_transports": []}, export())
    assert changes == {"transports": []}


def test_null_puts_a_nullable_attribute_back_and_is_a_mismatch_elsewhere() -> None:
    """§5.4, third item."""
    changes, _ = update_arguments({"export": {"batch_size": None, "mapping": None}}, export())
    assert changes == {"definition": {"batch_size": None, "mapping": "easydb"}}
    with pytest.raises(DefinitionRefused):
        update_arguments({"export": {"json": None}}, export())


def test_the_id_of_another_export_is_refused() -> None:
    """§4.2 `export._id`."""
    assert update_arguments({"export": {"_id": 17}}, export()) == ({}, None)
    with pytest.raises(DefinitionRefused) as caught:
        update_arguments({"export": {"_id": 18}}, export())
    assert caught.value.params["fault"] == "invalid_value"


def test_a_generated_name_sent_back_stays_a_generated_name() -> None:
    """§4.4: a schedule needs an explicit name, and clients send back what they fetched."""
    assert update_arguments({"export": {"name": "easydb-export-17"}}, export())[0] == {}
    assert update_arguments({"export": {"name": "press"}}, export())[0] == {"name": "press"}


def test_contradictions_are_found_between_what_is_stored_and_what_is_sent() -> None:
    stored = export()
    stored.definition["filename_template"] = "%_asset.id%"
    with pytest.raises(DefinitionRefused, match="excludes filename_original"):
        update_arguments({"export": {"filename_original": True}}, stored)


def test_what_postgresql_cannot_keep_is_refused_anywhere() -> None:
    deep: object = 1
    for _ in range(100):
        deep = [deep]
    for value in ("\0", "\ud800", float("inf"), deep):
        assert refusal(body(produce_options={"x": value})) == ("invalid_value", "body")
    assert refusal(body(produce_options={"a\0": 1})) == ("invalid_value", "body")
