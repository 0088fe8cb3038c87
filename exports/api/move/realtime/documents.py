"""What goes over a websocket: events of exports, and errors, in the words of the old server (`spec/move.md §4.11`)."""

from typing import Any

import orjson

from exports.api.move.exports import manifest
from exports.api.move.permissions import EXPORTS
from exports.services import waiting

CREATED, UPDATED = "CREATED", "UPDATED"


def event(verb: str, uid: str, word: str) -> str | None:
    """`doc` is the document itself: the attributes that `GET /move/exports/:opaque` shows, with `_id` and `_rev`.

    None when the export is gone.
    """
    export = waiting.export_find(uid)
    if export is None:
        return None
    shown = manifest(export, word)
    rev = shown["meta"]["rev"]
    doc = {"_id": uid, "_rev": rev, **shown["attributes"]}
    return _text(verb, {"id": uid, "rev": rev, "type": EXPORTS, "doc": doc})


def error(status: str, code: str, title: str, source: dict[str, Any]) -> str:
    return _text("error", {"status": status, "code": code, "title": title, "source": source})


def _text(event: str, payload: dict[str, Any]) -> str:
    return orjson.dumps({"event": event, "payload": payload}).decode()
