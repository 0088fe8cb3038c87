"""The whole of an export as it is shown: `spec/v1.md §4.1`."""

import pytest

from cells.models import Cell
from tests.clients import V1
from tests.spec.v1.asking import created, run

TOP = [
    "_basetype",
    "_date_created",
    "_last_updated_date",
    "_state",
    "_schedules",
    "_transports",
    "_downloads",
    "_files",
    "_log",
]
DEFINITION = """
    _id _version type name search fields eas_fields classes assets csv xml xml_one_file_per_object json
    json_one_file_per_object merge_linked_objects merge_max_depth mapping all_languages batch_size filename_original
    filename_template produce_options flat
""".split()


@pytest.mark.django_db(transaction=True)
def test_attributes_with_an_underscore_are_at_the_top_and_the_definition_under_export(as_alice: V1, cell: Cell) -> None:
    """§4.1: "Attributes starting with an underscore live at the top level; the definition lives under `export`"."""
    download = {"type": "download", "packer": "zip", "options": {}}
    export = run(as_alice, created(as_alice, name="press", _transports=[download], _schedules=[{"hours": [3]}]))
    assert set(TOP) <= export.keys()
    assert {name for name in export if not name.startswith("_")} == {"export"}
    assert set(DEFINITION) <= export["export"].keys()
    assert {name for name in export["export"] if name.startswith("_")} == {"_id", "_version"}
    [transport] = export["_transports"]
    assert {"type", "packer", "options", "_state", "_download"} <= transport.keys()
    assert transport["_download"] in export["_downloads"]
    assert all(file.keys() >= {"path", "size"} for file in export["_files"])
    assert all({"_id", "type", "timestamp"} <= entry["event"].keys() and "_user" in entry for entry in export["_log"])
