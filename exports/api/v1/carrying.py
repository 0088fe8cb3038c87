"""`/api/v1/export/<id>/transport/<uuid>/retry` and `test`: our extensions of §9, for one transport alone."""

from uuid import UUID

from django.http.response import HttpResponseBase
from rest_framework.request import Request

from cells.api.errors import ApiError
from exports import selectors
from exports.api.v1 import checks, openapi
from exports.api.v1.base import ExportViews
from exports.api.v1.streaming import json_response
from exports.models import Export, Transport
from exports.services import delivery
from exports.transports.base import TransportError


class TransportViewSet(ExportViews):
    @openapi.transport_retry
    def retry(self, request: Request, id: str, uuid: str) -> HttpResponseBase:
        """Only what has failed can be tried again, and only while its archive is there."""
        export = self.export(request, id)
        delivery.delivery_retry(delivery=selectors.delivery_of(transport=_transport(export, uuid)))
        return self.answer(export)

    @openapi.transport_test
    def test(self, request: Request, id: str, uuid: str) -> HttpResponseBase:
        """Answers when the other side has, or after its timeout."""
        transport = _transport(self.export(request, id), uuid)
        try:
            log = delivery.delivery_test(transport=transport)
        except TransportError as error:
            raise ApiError("generic", str(error)) from error
        return json_response({"_transport_log": "\n".join(log)})


def _transport(export: Export, text: str) -> Transport:
    try:
        return selectors.transport_get(export=export, uuid=UUID(text))
    except ValueError:
        raise checks.type_mismatch("uuid", "the uuid of a transport") from None
