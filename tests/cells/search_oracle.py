"""A reading of `spec/v1.md §7.3–7.5` in plain Python, slow and by itself: it shares no code with `cells.search`."""

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from fnmatch import translate
from typing import Any

from cells.models import Document

LANGUAGE = re.compile(r"[a-z]{2,3}-[A-Z]{2}")
ABSENT = object()
TOP = "_objecttype _uuid _system_object_id _global_object_id _created _last_modified _mask _tags _collections".split()


class Found:
    """A document in its object form, and what its cell knows."""

    def __init__(self, document: Document, instance: str, doctypes: set[str]) -> None:
        block = document.body if isinstance(document.body, dict) else {"_value": document.body}
        self.block, self.doctype, self.instance, self.doctypes = block, document.doctype, instance, doctypes
        self.whole = {**block, "_id": document.pk, "_version": int(document.rev.split("-")[0])}
        self.top = {
            "_objecttype": document.doctype,
            "_uuid": document.doc_id,
            "_system_object_id": document.pk,
            "_global_object_id": f"{document.pk}@{instance}",
            "_created": document.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "_last_modified": document.updated_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }

    def values(self, path: str) -> list[Any]:
        if path in self.top:
            return [self.top[path]]
        parts = path.split(".")
        if parts[0] in TOP:
            return []
        heads = [".".join(parts[:n]) for n in range(1, len(parts))]
        if self.doctype in heads:
            return below(self.whole, parts[self.doctype.count(".") + 1 :])
        if set(heads) & self.doctypes:
            return []
        return below(self.whole, parts)


class Row:
    """A row of the nested table at `path`."""

    def __init__(self, row: Any, path: str) -> None:
        self.block, self.path, self.instance = row, path, ""

    def values(self, path: str) -> list[Any]:
        return below(self.block, path.removeprefix(self.path + ".").split("."))


def below(value: Any, parts: list[str]) -> list[Any]:
    if isinstance(value, list):
        return [found for item in value for found in below(item, parts)]
    if not parts:
        return [value]
    return below(value[parts[0]], parts[1:]) if isinstance(value, dict) and parts[0] in value else []


def translated(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(LANGUAGE.fullmatch(key) and (text is None or isinstance(text, str)) for key, text in value.items())
    )


def spoken(values: list[Any], languages: list[str] | None) -> list[Any]:
    found = []
    for value in values:
        if translated(value):
            found += [text for key, text in value.items() if languages is None or key in languages]
        else:
            found.append(value)
    return found


def texts(value: Any, languages: list[str] | None) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in texts(item, languages)]
    if isinstance(value, dict):
        if translated(value):
            return [text for text in spoken([value], languages) if isinstance(text, str)]
        return [text for item in value.values() for text in texts(item, languages)]
    return []


def matches(search: dict[str, Any], document: Any) -> bool:
    types = search.get("objecttypes")
    if types is not None and document.doctype not in types:
        return False
    return formula(search.get("search") or [], document, search.get("languages"))


def formula(elements: list[dict[str, Any]], document: Any, languages: list[str] | None) -> bool:
    results: dict[str, list[bool]] = {"must": [], "should": [], "must_not": []}
    for element in elements:
        results[element.get("bool") or "must"].append(one(element, document, languages))
    return (
        all(results["must"])
        and not any(results["must_not"])
        and (not results["should"] or any(results["should"]))
    )  # fmt: skip


def one(element: dict[str, Any], document: Any, languages: list[str] | None) -> bool:
    kind = element["type"]
    if kind == "complex":
        return formula(element.get("search") or [], document, languages)
    if kind == "nested":
        rows = document.values(element["path"])
        return any(formula(element["search"], Row(row, element["path"]), languages) for row in spoken(rows, None))
    own = element.get("languages")
    languages = languages if own is None else own
    if kind == "in" and "objecttype" in element:
        return linked(element, document)
    if kind == "in":
        return any(is_in(spoken(document.values(path), languages), element["in"], path, document)
                   for path in element["fields"])  # fmt: skip
    if kind in ("match", "text"):
        fields = element.get("fields")
        if fields is None:
            return any(says(element, text) for text in texts(document.block, languages))
        return any(
            says(element, value)
            for path in fields for value in spoken(document.values(path), languages) if isinstance(value, str)
        )  # fmt: skip
    return any(in_range(element, value) for value in spoken(document.values(element["field"]), languages))


def same(one: Any, other: Any) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def is_in(values: list[Any], entries: list[Any], path: str, document: Any) -> bool:
    if path == "_global_object_id":
        entries = [re.sub("@local$", f"@{document.instance}", e) if isinstance(e, str) else e for e in entries]
    if None in entries and all(value in (None, "") for value in values):
        return True
    return any(same(value, entry) for value in values for entry in entries if entry is not None)


def linked(element: dict[str, Any], document: Any) -> bool:
    name, wanted, paths = element["objecttype"], element["in"], element.get("include_path", False)
    if name == "_pool":
        block = document.block if isinstance(document.block, dict) else {}
        found = below(block, ["_pool", "pool", "_id"])
        if paths:
            found += below(block, ["_pool", "_path", "pool", "_id"])
    else:
        found = list(ids(document.block, name, paths))
    return any(same(number, entry) for number in found for entry in wanted)


def ids(value: Any, name: str, paths: bool) -> Any:
    if isinstance(value, list):
        for item in value:
            yield from ids(item, name, paths)
    elif isinstance(value, dict):
        yield from below(value, [name, "_id"]) if isinstance(value.get(name), dict) else []
        for key, item in value.items():
            if paths or key != "_path":
                yield from ids(item, name, paths)


def folded(text: str, keep: str = "") -> list[str]:
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()
    return "".join(c if c.isalnum() or c in keep else " " for c in plain).split()


def says(element: dict[str, Any], text: str) -> bool:
    mode, has = element.get("mode") or "fulltext", folded(text)
    wild = mode == "wildcard" and any(sign in element["string"] for sign in "*?")
    asked = folded(element["string"], "*?" if mode == "wildcard" else "")

    def fits(word: str, wanted: str) -> bool:
        if mode == "wildcard":
            return re.fullmatch(translate(wanted), word) is not None
        return word == wanted if mode == "token" else word.startswith(wanted)

    if element.get("phrase") and not wild:
        places = range(len(has) - len(asked) + 1)
        return not asked or any(all(fits(has[p + i], word) for i, word in enumerate(asked)) for p in places)
    return all(any(fits(word, wanted) for word in has) for wanted in asked)


def day(text: Any, last: bool) -> datetime | None:
    """Both ends of what a date stands for, by trying what it might be."""
    if not isinstance(text, str):
        return None
    for form, step in (("%Y", "year"), ("%Y-%m", "month"), ("%Y-%m-%d", "day"), ("%Y-%m-%dT%H:%M", "minute"),
                       ("%Y-%m-%dT%H:%M:%S%z", "second"), ("%Y-%m-%dT%H:%M:%S.%f%z", "microsecond")):  # fmt: skip
        try:
            first = datetime.strptime(text, form)
        except ValueError:
            continue
        if len(text) == 5:
            continue
        first = first.replace(tzinfo=first.tzinfo or UTC)
        if not last:
            return first
        if step == "year":
            after = first.replace(year=first.year + 1)
        elif step == "month":
            after = (first + timedelta(31)).replace(day=1)
        else:
            after = first + timedelta(**{f"{step}s": 1})
        return after - timedelta(microseconds=1)
    return None


def in_range(element: dict[str, Any], value: Any) -> bool:
    low, high = element.get("from"), element.get("to")
    given = [bound for bound in (low, high) if bound is not None]
    if all(day(bound, False) for bound in given):
        start, end = day(low, False), day(high, True)
        if isinstance(value, dict):
            ends = {key: value.get(key) for key in ("from", "to") if value.get(key) not in (None, "")}
            if not ends or not all(day(text, False) for text in ends.values()):
                return False
            return within(element, day(ends.get("to"), True), start, None) and within(
                element, day(ends.get("from"), False), None, end
            )
        moment = day(value, False)
        return moment is not None and within(element, moment, start, end)
    kind = str if isinstance(given[0], str) else int | float
    return isinstance(value, kind) and not isinstance(value, bool) and within(element, value, low, high)


def within(element: dict[str, Any], value: Any, low: Any, high: Any) -> bool:
    if value is None:
        return True
    return (low is None or value > low or (value == low and element.get("from_equals", True))) and (
        high is None or value < high or (value == high and element.get("to_equals", True))
    )
