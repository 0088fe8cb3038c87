"""PROPFIND: a request that is read without trust, an answer written as text (`spec/cell.md §12.1`)."""

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from typing import NamedTuple, Never
from xml.parsers import expat

from django.utils.http import http_date
from rest_framework.request import Request

from cells.models import Cell
from exports.api.cell.addresses import cell_url
from exports.api.cell.base import raw_body
from exports.api.cell.errors import CellError
from exports.api.cell.words import NORMAL

_PERSONIUM = 'xmlns:p="urn:x-personium:xmlns"'
_DEEPEST = 100


class Resource(NamedTuple):
    href: str
    created_at: datetime
    updated_at: datetime
    #: None for a collection.
    length: int | None = None
    content_type: str = ""


def propfind_check(request: Request) -> None:
    """A body, if there is one, must be a `{DAV:}propfind`; whatever it asks for, it gets all (§12.1)."""
    raw = raw_body(request)
    if not raw:
        return
    root: list[str] = []
    depth = 0

    def start(name: str, _attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise CellError("PR400-DV-0001")
        if not root:
            root.append(name)

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(raw, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise CellError("PR400-DV-0001") from error
    if root != ["DAV: propfind"]:
        raise CellError("PR400-DV-0001")


def _refuse_doctype(*_: object) -> Never:
    """Entities are declared there, and nowhere else: without it nothing can be expanded or fetched."""
    raise CellError("PR400-DV-0001")


def depth_of(request: Request, default: str | None = None) -> int:
    given = request.META.get("HTTP_DEPTH", default)
    if given == "infinity":
        raise CellError("PR403-DV-0001")
    if given not in ("0", "1"):
        raise CellError("PR400-DV-0003", "null" if given is None else given)
    return int(given)


def multistatus(cell: Cell, resources: Iterable[Resource]) -> str:
    """The cell's status cannot be read while it is anything but normal (§9)."""
    return f'<multistatus xmlns="DAV:">{"".join(_response(cell, each) for each in resources)}</multistatus>'


def _response(cell: Cell, resource: Resource) -> str:
    is_file = resource.length is not None
    created = resource.created_at.astimezone(UTC)
    parts = [f"<creationdate>{created:%Y-%m-%dT%H:%M:%S}.{created.microsecond // 1000:03d}+0000</creationdate>"]
    if is_file:
        parts.append(f"<getcontentlength>{resource.length}</getcontentlength>")
        parts.append(f"<getcontenttype>{escape(resource.content_type)}</getcontenttype>")
    parts.append(f"<getlastmodified>{http_date(resource.updated_at.timestamp())}</getlastmodified>")
    if is_file:
        parts.append(f"<resourcetype/><acl {_PERSONIUM}/>")
    else:
        parts.append("<resourcetype><collection/></resourcetype>")
        parts.append(f"<p:cellstatus {_PERSONIUM}>{NORMAL}</p:cellstatus>")
        parts.append(f'<acl xml:base="{escape(cell_url(cell))}__role/__/" {_PERSONIUM}/>')
    return (
        f"<response><href>{escape(resource.href)}</href><propstat><prop>{''.join(parts)}</prop>"
        "<status>HTTP/1.1 200 OK</status></propstat></response>"
    )
