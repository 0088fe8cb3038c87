"""`/api/v1/cell/<name>/documents`: many by NDJSON, one by doctype and id (design §9)."""

from collections.abc import Iterator
from dataclasses import asdict

from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cells import reading, writing
from cells.api.base import V1ViewSet, query_integer, truth
from cells.api.bodies import body_lines, body_stream, content_length, gathered
from cells.api.errors import ApiError
from cells.api.ranges import begun, etags
from cells.errors import BodyIncomplete
from cells.lines import LONGEST_LINE
from cells.validators import doctype_name

NDJSON = "application/x-ndjson"


class RefusedLineSerializer(serializers.Serializer):
    line = serializers.IntegerField(help_text="counted from 1")
    error = serializers.CharField()


class DocumentsReportSerializer(serializers.Serializer):
    """For the API description."""

    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    deleted = serializers.IntegerField()
    refused_count = serializers.IntegerField()
    refused = RefusedLineSerializer(many=True, help_text="the first 1,000")


class DocumentsViewSet(V1ViewSet):
    @extend_schema(
        summary="Store and delete any number of documents",
        description='A JSON object a line: {"doctype", "id"?, "body"} stores, {"doctype", "id", "deleted": true} '
        "deletes. Of several lines for one id the last wins. Unless atomic=false, one refused line means 400 and that "
        "nothing is stored.",
        parameters=[OpenApiParameter("atomic", bool, default=True)],
        request={NDJSON: OpenApiTypes.STR},
        responses={200: DocumentsReportSerializer, 400: DocumentsReportSerializer},
    )
    def create(self, request: Request, name: str) -> Response:
        cell = reading.cell_get(name=name, user=request.user, token=request.auth)
        atomic = truth(request.query_params.get("atomic", "true"), "atomic")
        content_length(request)
        report = writing.documents_put(cell=cell, lines=body_lines(request), atomic=atomic)
        if not (atomic and report.refused_count):
            return Response(asdict(report))
        first = report.refused[0]
        error = ApiError("invalid_content", f"Nothing is stored. Line {first['line']}: {first['error']}")
        status, envelope = self.errors.answer(error)
        return Response(envelope | asdict(report), status=status)

    @extend_schema(
        summary="Documents by doctype and id, one a line",
        parameters=[
            OpenApiParameter("doctype", str),
            OpenApiParameter("after", str, description="`<id>` with doctype, `<doctype>/<id>` without"),
            OpenApiParameter("limit", int),
        ],
        responses={(200, NDJSON): OpenApiTypes.STR},
    )
    def list(self, request: Request, name: str) -> StreamingHttpResponse:
        cell = reading.cell_get(name=name, user=request.user, token=request.auth)
        doctype, limit = request.query_params.get("doctype"), query_integer(request, "limit", None)
        if doctype is not None:
            doctype_name(doctype)
        after = _after(request.query_params.get("after"), doctype)
        lines = reading.documents_list(cell=cell, doctype=doctype, after=after, limit=limit)
        return StreamingHttpResponse(begun(gathered(lines)), content_type=NDJSON)

    @extend_schema(
        operation_id="v1_cell_document",
        summary="The body of one document; its rev is the ETag",
        responses=OpenApiTypes.OBJECT,
    )
    def read(self, request: Request, name: str, doctype: str, doc_id: str) -> HttpResponse:
        cell = reading.cell_get(name=name, user=request.user, token=request.auth)
        document = reading.document_get(cell=cell, doctype=doctype, doc_id=doc_id.removesuffix("/"))
        etag = {"ETag": f'"{document.rev}"'}
        if (etags(request, "HTTP_IF_NONE_MATCH", weak=True) or set()) & {"*", document.rev}:
            return HttpResponse(status=304, headers=etag)
        body = b"" if request.method == "HEAD" else document.body
        headers = {**etag, "Content-Length": str(len(document.body))}
        return HttpResponse(body, content_type="application/json; charset=utf-8", headers=headers)

    @extend_schema(
        summary="Store one document",
        request=OpenApiTypes.OBJECT,
        responses={200: OpenApiTypes.OBJECT, 201: OpenApiTypes.OBJECT},
    )
    def update(self, request: Request, name: str, doctype: str, doc_id: str) -> Response:
        cell = reading.cell_get(name=name, user=request.user, token=request.auth)
        doc_id = doc_id.removesuffix("/")
        rev, created = writing.document_put(
            cell=cell,
            doctype=doctype,
            doc_id=doc_id,
            body=_small_body(request),
            if_match=etags(request, "HTTP_IF_MATCH"),
            if_none_match=etags(request, "HTTP_IF_NONE_MATCH", weak=True),
        )
        told = {"doctype": doctype, "id": doc_id, "rev": rev}
        return Response(told, status=201 if created else 200, headers={"ETag": f'"{rev}"'})

    @extend_schema(summary="Delete one document", responses=OpenApiTypes.OBJECT)
    def destroy(self, request: Request, name: str, doctype: str, doc_id: str) -> Response:
        cell = reading.cell_get(name=name, user=request.user, token=request.auth)
        if_match = etags(request, "HTTP_IF_MATCH")
        writing.document_delete(cell=cell, doctype=doctype, doc_id=doc_id.removesuffix("/"), if_match=if_match)
        return Response({})


def _after(text: str | None, doctype: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    if "\0" in text:
        raise ApiError("invalid_value", "after must not contain a NUL character.")
    if doctype is not None:
        return doctype, text
    before, slash, doc_id = text.partition("/")
    if not slash:
        raise ApiError("invalid_value", "after must be <doctype>/<id>, or the id beside a doctype.")
    return before, doc_id


def _small_body(request: Request) -> bytes:
    length = content_length(request)
    if length > LONGEST_LINE:
        raise ApiError("invalid_content", f"A document must not be longer than {LONGEST_LINE} bytes.")
    body = b"".join(_pieces(request, length))
    if len(body) != length:
        raise BodyIncomplete(received=len(body), expected=length)
    return body


def _pieces(request: Request, length: int) -> Iterator[bytes]:
    stream = body_stream(request)
    while length > 0 and (piece := stream.read(length)):
        length -= len(piece)
        yield piece
