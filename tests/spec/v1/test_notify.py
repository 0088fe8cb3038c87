"""`notify`, our extension of the export object: which mails its owner gets (issue 3, point 8)."""

import pytest

from exports.models import Export
from tests.clients import V1
from tests.spec.v1.asking import answer, created, id_of, refused


@pytest.mark.django_db
def test_notify_is_absent_until_it_is_said_and_after_it_is_taken_back(as_alice: V1) -> None:
    export = created(as_alice)
    assert "notify" not in export["export"]
    path = f"export/{id_of(export)}"
    assert answer(as_alice.post(path, {"export": {"notify": "problems"}}))["export"]["notify"] == "problems"
    assert answer(as_alice.post(path, {"export": {"name": "x"}}))["export"]["notify"] == "problems"
    assert "notify" not in answer(as_alice.post(path, {"export": {"notify": None}}))["export"]


@pytest.mark.parametrize(("value", "fault"), [("sometimes", "invalid_value"), (True, "type_mismatch")])
def test_another_wish_is_refused(as_alice: V1, value: object, fault: str) -> None:
    refused(as_alice.put("export", {"export": {"search": {}, "notify": value}}), 400, f"error.api.{fault}")
    assert not Export.objects.exists()
