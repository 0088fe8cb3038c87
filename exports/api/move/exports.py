"""`/move/exports`: ask for an export, read its manifest, fetch its parts (`spec/move.md §4`)."""

import hashlib
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from cells.api.ranges import ranged_response
from exports.api.move import bodies, openapi, permissions
from exports.api.move.base import MoveViews, base_url, document_response
from exports.api.move.errors import MoveError, forbidden
from exports.api.move.pages import page
from exports.api.move.permissions import EXPORTS
from exports.api.move.words import DONE, ERROR, EXPORTING, STATE_WORDS
from exports.models import MoveExport
from exports.services import move_exports
from exports.states import RunState
from exports.transports.email import readable_size

#: The download may stand in a frame of our own pages, and of nobody else's (§4.9).
_FRAMES = {"Content-Security-Policy": "frame-ancestors 'self'", "X-Frame-Options": "SAMEORIGIN"}


class ExportViewSet(MoveViews):
    @openapi.export_create
    def create(self, request: Request, **_: str) -> HttpResponseBase:
        """201 and nothing else: the link comes by mail."""
        cell = self.permitted_limited(request, EXPORTS, "POST")
        found = bodies.attributes(request)
        move_exports.move_export_create(
            cell=cell,
            parts_size=bodies.integer(found, "parts_size"),
            max_age=bodies.integer(found, "max_age"),
            with_doctypes=bodies.texts(found, "with_doctypes"),
            without_files=bodies.flag(found, "without_files"),
            base_url=base_url(request, cell),
        )
        return HttpResponse(status=201, content_type="")

    @openapi.export_get
    def retrieve(self, request: Request, opaque: str, **_: str) -> HttpResponseBase:
        return document_response(request, manifest(self.opened(request, opaque)))

    @openapi.part_get
    def data(self, request: Request, opaque: str, **_: str) -> HttpResponseBase:
        return part_response(request, self.opened(request, opaque), "My Cozy")

    def page(self, request: Request, opaque: str, **_: str) -> HttpResponseBase:
        """For people: the same parts as links. Ours; the old server has its Settings app for it."""
        export = self.opened(request, opaque)
        word = STATE_WORDS[RunState(export.run.state)]
        cursors = ["", *move_exports.cursors(export)] if word == DONE else []
        volumes = move_exports.parts(export) if word == DONE else []
        context = {
            "cell": export.cell.name,
            "state": word,
            "opaque": opaque,
            "parts": [
                (number, cursor, readable_size(volume.length))
                for number, (cursor, volume) in enumerate(zip(cursors, volumes, strict=True), 1)
            ],
            "expires": move_exports.expires_at(export),
            "warnings": export.run.warnings,
        }
        if export.cell.moved_to:
            return page(request, "downloads", {**context, "moved_to": export.cell.moved_to}, 410)
        return page(request, "downloads", context)

    def opened(self, request: Request, opaque: str) -> MoveExport:
        """The opaque identifier is enough; a token that is there must be good for it (DEC-3)."""
        named = self.named_cell()
        token = None
        if settings.MOVE_TOKEN_REQUIRED or permissions.raw_token(request):
            token = permissions.token_of(request)
            permissions.permission_check(token, EXPORTS, "GET")
        try:
            export = move_exports.move_export_open(opaque=opaque, cell=named)
        except ValueError as error:
            raise MoveError(400, "illegal base64 data") from error
        if token is not None and permissions.cell_of(token, export.cell) != export.cell:
            raise forbidden()
        return export


def part_response(request: Request, export: MoveExport, called: str) -> HttpResponseBase:
    """The part that `cursor` names, in a file whose name begins so."""
    cursors = request.query_params.getlist("cursor")
    opened = move_exports.part_open(export=export, cursor=cursors[0] if cursors else "", called=called)
    return ranged_response(
        request,
        length=opened.length,
        etag=opened.etag,
        content_type=opened.content_type,
        chunks=opened.chunks,
        headers={**_FRAMES, "Content-Disposition": f'attachment; filename="{opened.name}"'},
    )


def manifest(export: MoveExport, word: str | None = None) -> dict[str, Any]:
    """The export document (§4.5). Every attribute is always there (DEC-5); `contents_size` and
    `warnings` are ours. `word`: as it was when it was called so."""
    run, word = export.run, word or STATE_WORDS[RunState(export.run.state)]
    begun, done = move_exports.created_at(export), word == DONE
    cursors = move_exports.cursors(export) if done else []
    finished = run.finished_at if word != EXPORTING else None
    took = int((finished - begun).total_seconds() * 1_000_000) * 1000 if finished else 0
    rev = hashlib.sha256(f"{export.uid} {word}".encode()).hexdigest()[:32]
    return {
        "type": "io.cozy.exports",
        "id": export.uid,
        "attributes": {
            "domain": export.base_url.partition("://")[2],
            "parts_size": export.parts_size,
            "parts_cursors": cursors,
            "parts_length": len(cursors) + 1 if done else 0,
            "with_doctypes": export.with_doctypes,
            "without_files": export.without_files,
            "state": word,
            "created_at": begun.isoformat(),
            "expires_at": move_exports.expires_at(export).isoformat(),
            "total_size": export.total_size if done else -1,
            "contents_size": export.contents_size if done else -1,
            "creation_duration": took,
            "error": (run.error or {}).get("message", "") if word == ERROR else "",
            "warnings": run.warnings,
        },
        "meta": {"rev": f"{1 if word == EXPORTING else 2}-{rev}"},
    }
