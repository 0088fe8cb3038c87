"""`/api/v1[/v1]/export/<id>/download/<passkey>/<file>`: archives for whoever knows the passkey (§5.11)."""

from django.http.response import HttpResponseBase
from rest_framework.request import Request

from exports import selectors
from exports.api.v1 import names, openapi, sending
from exports.api.v1.archives import ArchiveViewSet
from exports.api.v1.base import path_id
from exports.api.v1.files import FileViewSet
from exports.errors import DefinitionRefused, PasskeyInvalid, VolumeNotFound
from exports.models import Export, Run
from exports.services import downloads
from exports.services.downloads import Opened


class DownloadViewSet(sending.SendingViews):
    #: A token is ignored, even a wrong one.
    authentication_classes = ()
    permission_classes = ()

    @openapi.download_get
    def read(self, request: Request, id: str, passkey: str, file: str) -> HttpResponseBase:
        export = _export(id, passkey)
        run = selectors.published_run(export=export)
        file = sending.findable(file.removesuffix("/"))
        if names.archive_name(file) and request.query_params.get("file") != "1":
            opened, transport = _archive(export, run, file)
        else:
            opened, transport = _single_file(export, run, file)
        headers = sending.disposition(request, sending.file_name(request, opened.name))
        response = sending.send(request, opened, headers=headers)
        of = {} if transport is None else {"_transport_id": transport}
        sending.note_download(request, response, opened, export=export, run=run, what=f"download/{file}", **of)
        return response


class _ByPasskey:
    """fylr's `/export/<id>/uuid/<uuid>/…`, whose uuid is our passkey (§5.10)."""

    authentication_classes = ()
    permission_classes = ()

    def export(self, request: Request, id: str) -> Export:
        return _export(id, self.kwargs["passkey"])


class PasskeyFileViewSet(_ByPasskey, FileViewSet):
    pass


class PasskeyArchiveViewSet(_ByPasskey, ArchiveViewSet):
    pass


def _export(id: str, passkey: str) -> Export:
    """What is no id is an export that nobody has: the same answer (§0.2 C8)."""
    try:
        number = path_id(id)
    except DefinitionRefused:
        raise PasskeyInvalid from None
    return downloads.export_by_passkey(export_id=min(number, 2**63 - 1), given=passkey)


def _archive(export: Export, run: Run, file: str) -> tuple[Opened, int | None]:
    """`<base>[.<n>].<extension>`; the base may be any name that the export ever had."""
    asked = names.archive_name(file)
    assert asked is not None
    if asked.packer in names.SPLIT:
        volume = selectors.volume_get(run=run, packer=asked.packer, number=asked.number or 1)
    else:
        volume = downloads.volume_find(run=run, extension=asked.packer, number=asked.number)
    transport = export.transports.filter(type="download", packer=volume.packer).values_list("pk", flat=True).first()
    return downloads.open_volume(volume=volume, name=file), transport


def _single_file(export: Export, run: Run, path: str) -> tuple[Opened, int]:
    """Only a transport without packer offers single files by passkey (§9.2)."""
    transport = export.transports.filter(type="download", packer=None).values_list("pk", flat=True).first()
    if transport is None:
        raise VolumeNotFound(name=path)
    return downloads.open_entry(run=run, path=sending.findable(path)), transport
