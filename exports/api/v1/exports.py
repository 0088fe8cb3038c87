"""`/api/v1/export`: list, get, create, update, delete, start, stop (`spec/v1.md §5.1-5.7`)."""

from django.http.response import HttpResponseBase
from rest_framework.decorators import action
from rest_framework.request import Request

from cells.api.base import json_object, query_integer
from exports import selectors
from exports.api.v1 import checks, openapi, present, schema
from exports.api.v1.base import ExportViews
from exports.api.v1.filters import exports_filter
from exports.api.v1.streaming import json_response
from exports.services import exports as services

DEFAULT_LIMIT = 1000
#: Exports read at a time.
PAGE = 500


class ExportViewSet(ExportViews):
    brings_nothing = ("stop",)

    @openapi.exports_list
    def list(self, request: Request) -> HttpResponseBase:
        limit = query_integer(request, "limit", None)
        offset = query_integer(request, "offset", 0)
        clauses = exports_filter(request.query_params.get("filter", ""))
        exports = selectors.exports_list(owner=request.user, any_of=clauses)
        page = exports[offset : offset + (DEFAULT_LIMIT if limit is None else limit)]
        return json_response(
            {
                "limit": limit,
                "offset": offset,
                "count": exports.count(),
                "objects": map(present.export_listed, page.prefetch_related("schedules").iterator(chunk_size=PAGE)),
            }
        )

    @openapi.export_get
    def retrieve(self, request: Request, id: str) -> HttpResponseBase:
        log = checks.one_of("format", request.query_params.get("format", "long"), present.LOG_FORMATS)
        return self.answer(self.export(request, id), log=log)

    @openapi.export_create
    def create(self, request: Request) -> HttpResponseBase:
        return self.answer(services.export_create(owner=request.user, **schema.create_arguments(json_object(request))))

    @openapi.export_update
    def update(self, request: Request, id: str) -> HttpResponseBase:
        export = self.export(request, id)
        changes, version = schema.update_arguments(json_object(request), export)
        return self.answer(services.export_update(export=export, user=request.user, changes=changes, version=version))

    @openapi.export_delete
    def destroy(self, request: Request, id: str) -> HttpResponseBase:
        services.export_delete(export=self.export(request, id))
        return json_response({})

    @openapi.export_start
    @action(detail=True, methods=["post"])
    def start(self, request: Request, id: str) -> HttpResponseBase:
        export = self.export(request, id)
        services.export_start(export=export)
        return self.answer(export)

    @openapi.export_stop
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, id: str) -> HttpResponseBase:
        export = self.export(request, id)
        services.export_stop(export=export)
        return self.answer(export)
