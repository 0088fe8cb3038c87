"""Sending what was opened: names, dispositions, ranges, the proxy's part, and the note that it was fetched (§5.8)."""

import re
import unicodedata
from urllib.parse import quote

from django.conf import settings
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from cells.api.ranges import ranged_response
from exports.api.v1 import checks, names
from exports.api.v1.base import ExportViews
from exports.api.v1.errors import DownloadErrors, error_redirect
from exports.errors import EntryNotFound, PasskeyInvalid
from exports.models import Export, Run
from exports.models.export import ExportType
from exports.services import lifecycle, retention
from exports.services.downloads import Opened

DISPOSITIONS = ("inline", "attachment")
_LONGEST_NAME = 255
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f/\\]")
#: Content is the user's: in a browser it must not act in our name.
_SANDBOX = {"Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"}


class SendingViews(ExportViews):
    """Browsers that asked for a disposition get a page to be shown instead of JSON (§3.3)."""

    errors = DownloadErrors()

    def handle_exception(self, error: Exception) -> Response:
        response = super().handle_exception(error)  # which logs what was not foreseen
        wanted = self.request.query_params.get("disposition") in DISPOSITIONS
        return error_redirect(error) if wanted or isinstance(error, PasskeyInvalid) else response


def findable(path: str) -> str:
    """A path that the database can be asked for: names never hold NUL."""
    if "\0" in path:
        raise EntryNotFound(what="file or folder", path=path)
    return path


def file_name(request: Request, default: str) -> str:
    """The name under which the client shall keep it: `filename` with the default's extension, or the default."""
    given = _UNSAFE.sub("_", request.query_params.get("filename", "")).strip()[:_LONGEST_NAME]
    return names.with_extension(given, names.extension_of(default)) if given else default


def disposition(request: Request, name: str) -> dict[str, str]:
    """No header unless asked for; `filename` alone means attachment."""
    kind = request.query_params.get("disposition")
    if kind is None:
        if not request.query_params.get("filename"):
            return {}
        kind = "attachment"
    return {"Content-Disposition": _header(checks.one_of("disposition", kind, DISPOSITIONS), name)}


def _header(kind: str, name: str) -> str:
    """RFC 6266: an ASCII name for everybody, the true one for whoever reads `filename*`."""
    header = f'{kind}; filename="{_ascii(name)}"'
    return header if _ascii(name) == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"


def _ascii(name: str) -> str:
    if name.isascii():
        return _UNSAFE.sub("_", name).replace('"', "_")
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return _ascii(plain if plain.rpartition(".")[0] else f"download{plain}")


def send(request: Request, opened: Opened, *, headers: dict[str, str], accel: bool = True) -> HttpResponseBase:
    """The bytes, or for a stored volume behind a proxy that sends files itself: where they are."""
    if accel and settings.ACCEL_REDIRECT and opened.store_file:
        where = f"{settings.ACCEL_REDIRECT}volumes/{quote(opened.store_file)}"
        sent = {**_SANDBOX, **headers, "ETag": f'"{opened.etag}"', "X-Accel-Redirect": where}
        return HttpResponse(b"", content_type=opened.content_type, headers=sent)
    return ranged_response(
        request,
        length=opened.length,
        etag=opened.etag,
        content_type=opened.content_type,
        chunks=opened.chunks,
        headers={**_SANDBOX, **headers},
    )


def note_download(
    request: Request, response: HttpResponseBase, opened: Opened, *, export: Export, run: Run, what: str, **of: object
) -> None:
    """One event for a download, not one for each piece of it: pieces that do not begin at 0 go on with another. A file
    of a document is an asset, and has an event of its own (`spec/v1.md §12`)."""
    if "X-Accel-Redirect" in response.headers:
        retention.reading_note(run=run)
    starts = response.status_code == 200 or response.headers.get("Content-Range", "").startswith("bytes 0-")
    if request.method != "GET" or not starts:
        return
    of = {"_id": export.pk, "_version": export.version, **of}
    told: dict[str, dict[str, object]] = {
        "DOWNLOAD_EXPORT": {"bytes_total": opened.length, "export": of, "url": what},
    }
    if opened.asset:
        asset, version = opened.asset
        told["DOWNLOAD_EXPORT"] |= {"asset_id": asset, "asset_version": version}
        told[_asset_event(run, of)] = {"asset_id": asset, "version": version, "export": of}
    user = request.user if request.user.is_authenticated else None
    for event, info in told.items():
        lifecycle.event_write(type=event, export=export, run=run, user=user, info=info)


def _asset_event(run: Run, of: dict[str, object]) -> str:
    if "_transport_id" in of:
        return "ASSET_EXPORT_TRANSPORT_DOWNLOAD"
    return "ASSET_DOWNLOAD" if run.order.get("type") == ExportType.DOWNLOAD else "ASSET_EXPORT_DOWNLOAD"
