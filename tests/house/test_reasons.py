"""Whatever carriers, the egress guard and the engine say went wrong has its sentence in `services/reasons.py`.

The code is read: a sentence that is built there is one that people meet.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from django.utils import translation

from exports.services import reasons
from exports.services.reasons import is_known, said

ROOT = Path(__file__).resolve().parents[2] / "exports"
#: Files that speak to people in English → function → where its sentence stands: number or name of the argument.
SPEAKERS = {
    "TransportError": 0, "refused": 1, "note": 0, "warn": 0, "_warn": 1, "_Failed": 0, "refuse": 0,
    "EgressRefused": "reason", "DefinitionRefused": "reason", "_refused": 1,
    "MoveAborted": "reason", "MoveSourceRefused": "reason", "MoveTargetRefused": "reason", "TransferRefused": "reason",
}  # fmt: skip
DOERS = {"faults": 0, "_ask": 2, "require": 1}
FILES = [
    *sorted((ROOT / "transports").glob("*.py")),
    *sorted((ROOT / "engine").glob("produce/*.py")),
    ROOT / "engine/layouts/ruled.py",
    ROOT / "egress.py",
    *(ROOT / "services" / f"{name}.py" for name in ("canary", "delivery", "exports", "preferences", "producing")),
    *(ROOT / "services" / f"{name}.py" for name in ("arrivals", "departures", "departure_lifecycle", "receiving")),
    *(ROOT / "services" / f"{name}.py" for name in ("source_server", "spool", "transfers")),
    *(ROOT / "api/move").glob("*.py"),
    ROOT / "web/moves.py",
]
#: A value that no words are in.
VALUE = "\N{SECTION SIGN}"


def sentences(speakers: dict[str, int | str]) -> Iterator[tuple[str, str]]:
    """(where, sentence with VALUE for what is put into it)."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            place = speakers.get(getattr(node.func, "id", getattr(node.func, "attr", "")))
            named = {keyword.arg: keyword.value for keyword in node.keywords}
            given = named.get(place) if isinstance(place, str) else None
            if isinstance(place, int) and len(node.args) > place:
                given = node.args[place]
            if any(map(str.isascii, (sentence := spoken(given)).strip(f"{VALUE} .:"))):
                yield f"{path.name}:{node.lineno}", sentence


def spoken(node: ast.expr | None) -> str:
    """ "" for what is not written here."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(spoken(part) or VALUE for part in node.values)
    return ""


def test_every_reason_has_its_sentence() -> None:
    found = list(sentences(SPEAKERS))
    assert len(found) > 80
    assert [(where, sentence) for where, sentence in found if not is_known(sentence)] == []


def test_what_was_being_done_has_its_words() -> None:
    found = list(sentences(DOERS))
    assert len(found) > 25
    assert [(where, doing) for where, doing in found if not is_known(doing, doing=True)] == []


def test_reasons_within_reasons_are_told() -> None:
    refused = "'10.0.0.1' cannot be connected to: it leads to 10.0.0.1, which is not for users to reach."
    told = [
        (refused, "'10.0.0.1' ist kein erlaubtes Ziel: Der Name führt zu 10.0.0.1, und das ist Benutzern verwehrt."),
        (f"Transport 1 (webdav) failed: {refused}", "Zustellung 1 (webdav) ist fehlgeschlagen: '10.0.0.1' ist"),
        ("Cannot write a/b: 507, there is no space left", "Es gelang nicht, a/b zu schreiben: 507, dort ist kein"),
        ("Cannot send mail to a@b.c: timed out", "Es gelang nicht, eine Mail an a@b.c zu senden: die Zeit"),
        ("must begin with sftp://", "muss mit sftp:// beginnen"),
        ("A tree {fell} %s", "A tree {fell} %s"),
        ("a: b" * 2000, "a: ba: b"),
    ]
    with translation.override("de"):
        assert [(said(sentence)[: len(german)]) for sentence, german in told] == [german for _, german in told]
    assert [said(sentence) for sentence, _ in told] == [sentence for sentence, _ in told]


def test_no_sentence_stands_twice() -> None:
    assert len({*reasons.REASONS, *reasons.DOING}) == len(reasons.REASONS) + len(reasons.DOING)
