"""Whatever pages say, they say in German too, with the same values in it."""

import re
from io import BytesIO

import pytest
from babel.messages.mofile import write_mo
from django.contrib.auth.models import User
from django.test import Client
from django.utils import translation

from cells.errors import NoSpace
from cells.models import Cell
from exports.models import Schedule
from exports.services import sentences
from exports.web import errors, words
from tests.clients import V1
from tests.house.test_dialects import all_errors, made
from tests.web.messages import MO, kept, pages_say

_VALUE = re.compile(r"%\(\w+\)s|\{\w+(?:!r)?\}")


def test_every_sentence_of_the_pages_is_translated() -> None:
    """`make messages` finds the new ones. An error of the domain may wait: it is shown in English until then."""
    said = {message[0] if isinstance(message, tuple) else message for _, message, _ in pages_say()}
    missing = [message.id for message in kept() if not all(_forms(message.string)) and _forms(message.id)[0] in said]
    assert missing == []
    assert said - {_forms(message.id)[0] for message in kept()} == set()


def test_the_catalogue_is_compiled() -> None:
    compiled = BytesIO()
    write_mo(compiled, kept())
    assert compiled.getvalue() == MO.read_bytes(), "run `make messages`"


def test_translations_name_the_same_values() -> None:
    different = [
        message.id
        for message in kept()
        if message.id
        and all(_forms(message.string))
        and set(_VALUE.findall(_forms(message.id)[-1])) != set(_VALUE.findall(_forms(message.string)[-1]))
    ]
    assert different == []


def _forms(text: str | tuple[str, ...]) -> tuple[str, ...]:
    return text if isinstance(text, tuple) else (text,)


@pytest.mark.django_db
def test_the_language_is_the_browsers_and_dialects_have_none(alice: User) -> None:
    german = {"Accept-Language": "de-AT,de;q=0.9"}
    page = Client().get("/web/sign-in", headers=german).content.decode()
    assert '<html lang="de">' in page and "Anmeldename" in page
    said = V1(alice).call("PATCH", "export", HTTP_ACCEPT_LANGUAGE="de").content
    assert said == V1(alice).call("PATCH", "export").content or b"uuid" in said
    assert Cell.objects.count() == 0


def test_errors_of_the_domain_speak_the_persons_language() -> None:
    with translation.override("de"):
        assert errors.text(NoSpace(mount="/store")) == "Auf /store ist kein Platz mehr."


def test_stored_errors_are_told_as_if_they_were_met_now() -> None:
    """All of them, in both languages; and what says something else, as it is."""
    different = []
    for kind in {*all_errors()}:
        error = made(kind)
        for language in ("en", "de"):
            with translation.override(language):
                told = errors.stored_text({"code": error.code, "message": str(error)})
                different += [kind.__name__] if told != errors.text(error) else []
    assert different == []
    with translation.override("de"):
        assert errors.stored_text({"code": "internal", "message": sentences.INTERNAL}) == "Interner Fehler."
        assert errors.stored_text({"code": "no_space", "message": "A tree fell."}) == "A tree fell."
        assert errors.stored_text({"code": "refused", "message": "550 {no} %s"}) == "550 {no} %s"
        assert errors.stored_text(None) == ""


@pytest.mark.parametrize(
    ("definition", "english", "german"),
    [
        ({}, "every day at 02:00", "jeden Tag um 02:00 Uhr"),
        ({"weekdays": ["sunday"], "days_of_month": [1, 2, 3, 4, 5, 6, 7], "hours": [10]},
         "every first Sunday of the month at 10:00", "jeden ersten Sonntag im Monat um 10:00 Uhr"),
        ({"weekdays": ["fri", "Mon"], "hours": [8, 18], "minutes": [30]},
         "every Monday and Friday at 08:30 and 18:30", "jeden Montag und Freitag um 08:30 und 18:30 Uhr"),
        ({"days_of_month": [1, 15]},
         "on days 1 and 15 of the month at 02:00", "an den Tagen 1 und 15 des Monats um 02:00 Uhr"),
        ({"days_of_month": [31]}, "on day 31 of the month at 02:00", "am 31. des Monats um 02:00 Uhr"),
        ({"weekdays": ["fri"], "days_of_month": [13]},
         "on day 13 of the month, if it is a Friday, at 02:00",
         "am 13. des Monats, wenn es ein Freitag ist, um 02:00 Uhr"),
        ({"hours": list(range(24)), "minutes": [0, 30]},
         "every day at minute 00 and 30 of every hour", "jeden Tag zur Minute 00 und 30 jeder Stunde"),
        ({"hours": [1, 2, 3, 4, 5, 6, 7]},
         "every day 7 times from 01:00 to 07:00", "jeden Tag 7-mal von 01:00 bis 07:00 Uhr"),
    ],
)  # fmt: skip
def test_schedules_are_told_in_words(definition: dict, english: str, german: str) -> None:
    row = Schedule(definition=definition, timezone="Europe/Berlin")
    with translation.override("en"):
        assert words.schedule(row) == f"{english} (Europe/Berlin)"
    with translation.override("de"):
        assert words.schedule(row) == f"{german} (Europe/Berlin)"
