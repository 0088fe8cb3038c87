"""`/api/v1/event`: poll, list, get (`spec/v1.md §12`)."""

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace

from django.db.models import Q, QuerySet
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.dateparse import parse_date, parse_datetime
from rest_framework.request import Request

from cells.api.base import query_integer
from cells.api.errors import UserError
from exports import selectors
from exports.api.v1 import checks, openapi, present
from exports.api.v1.base import ExportViews, path_id
from exports.api.v1.streaming import json_response
from exports.models import Event
from exports.services import acting

MOST = 1000
DEFAULT_POLL = 25
RIGHT = "system.api.event.get"
_SORTS = {"_id.desc": "-id", "_id.asc": "id"}
#: Who is a user of ours, and who came with a passkey; what easydb has besides is nobody here.
_USER_TYPES = {"easydb": False, "anonymous": True}
_COLUMNS = ("_id", "timestamp", "type", "pollable", "schema", "basetype", "object_id", "object_version")
#: A spreadsheet takes what begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class EventViewSet(ExportViews):
    @openapi.event_poll
    def poll(self, request: Request, last: str = "") -> HttpResponseBase:
        """Without an id only what happens from now on counts, so nothing yet."""
        limit = min(query_integer(request, "limit", DEFAULT_POLL) or MOST, MOST)
        if not last:
            return json_response([])
        after = 0 if last.strip("0") == "" else path_id(last)
        events = selectors.owner_events(owner=request.user, types=present.POLLABLE, after=after)
        listed = partial(present.event_listed, session=acting.session_of(request.auth))
        return json_response([listed(event) for event in events[:limit]])

    @openapi.event_list
    def list(self, request: Request) -> HttpResponseBase:
        _check_right(request)
        limit = min(query_integer(request, "limit", MOST), MOST)
        offset = query_integer(request, "offset", 0)
        form = checks.one_of("format", request.query_params.get("format", "json"), ("json", "json_full", "csv"))
        events = _filtered(request)
        if form == "csv":
            lines = _csv(events[offset : offset + limit].iterator())
            return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8; header=present")
        skips_count = request.query_params.get("skip_count", "0") in ("1", "true")
        listed = partial(present.event_listed, session=acting.session_of(request.auth))
        shown = present.event_whole if form == "json_full" else listed
        return json_response(
            {
                **({} if skips_count else {"count": events.count()}),
                "limit": limit,
                "offset": offset,
                "objects": map(shown, events[offset : offset + limit].iterator()),
            }
        )

    @openapi.event_get
    def retrieve(self, request: Request, id: str) -> HttpResponseBase:
        _check_right(request)
        number = path_id(id)
        event = selectors.event_find(id=number)
        if event is None:
            raise UserError("event_not_found", id=number)
        return json_response(present.event_whole(event))


def _check_right(request: Request) -> None:
    if not request.user.is_superuser:
        raise UserError("no_system_right", right=RIGHT)


def _filtered(request: Request) -> QuerySet[Event]:
    query = request.query_params
    events = selectors.events_all()
    if "type" in query:
        events = events.filter(type__in=query["type"].replace("\0", "").split(","))
    for name in ("base_type", "basetype"):
        if name in query:
            events = _of_basetype(events, query[name])
    if "user_id" in query:
        events = events.filter(user_id=query_integer(request, "user_id", None))
    if "group_id" in query:
        events = events.filter(user__groups=query_integer(request, "group_id", None))
    if "user_type" in query:
        nobody = _USER_TYPES.get(query["user_type"])
        events = events.none() if nobody is None else events.filter(user__isnull=nobody)
    if "pollable" in query:
        wanted = checks.one_of("pollable", query["pollable"], ("0", "1", "false", "true")) in ("1", "true")
        pollable = {"type__in": present.POLLABLE}
        events = events.filter(**pollable) if wanted else events.exclude(**pollable)
    for name, lookup in (("date_from", "at__gte"), ("date_to", "at__lte")):
        if name in query:
            events = events.filter(**{lookup: _moment(name, query[name])})
    sort = checks.one_of("sort", query.get("sort", "_id.DESC").lower(), _SORTS)
    return events.order_by(_SORTS[sort])


def _of_basetype(events: QuerySet[Event], name: str) -> QuerySet[Event]:
    of_assets = Q(type__startswith=present.ASSET_EVENTS) | Q(type=present.ASSET_EVENT)
    of_objects = Q(type=present.OBJECT_EVENT)
    which = {"asset": of_assets, "object": of_objects, "export": ~(of_assets | of_objects)}
    return events.filter(which[name]) if name in which else events.none()


def _csv(events: Iterator[Event]) -> Iterator[str]:
    """The full form, a line each, every value quoted (§8.4); `info` is JSON."""
    writer = csv.writer(SimpleNamespace(write=str), quoting=csv.QUOTE_ALL)  # writerow returns what write does
    yield writer.writerow([*_COLUMNS, "_user._id", "_user._generated_displayname", "info"])
    for event in map(present.event_whole, events):
        told, user = event["event"], event["_user"] or {}
        shown = [_safe(told[name]) for name in _COLUMNS]
        who = [_safe(user.get(name)) for name in ("_id", "_generated_displayname")]
        yield writer.writerow([*shown, *who, json.dumps(told["info"], ensure_ascii=False)])


def _safe(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _moment(name: str, text: str) -> datetime:
    """A date or a timestamp; UTC unless it says otherwise."""
    try:
        day = parse_date(text)
        moment = datetime(day.year, day.month, day.day) if day else parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise checks.invalid_value(name, "must be a date or a timestamp (ISO 8601)")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
