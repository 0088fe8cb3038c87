"""What the export families of v1 share: who may call, ids in paths, whole exports as answers."""

import re

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from cells import tokens
from cells.api.authentication import Authenticated
from cells.api.base import V1ViewSet
from cells.api.sessions import client_address
from cells.errors import NotAuthenticated
from exports import selectors
from exports.api.v1 import checks, present
from exports.api.v1.errors import ExportErrors
from exports.api.v1.openapi import V1Schema
from exports.api.v1.streaming import json_response
from exports.models import Export
from exports.services import acting

_ID = re.compile(r"[0-9]{1,40}")


class SessionNeeded(Authenticated):
    """A token that is good for one cell, or for something else than v1, is nobody's session here."""

    def has_permission(self, request: Request, view: object) -> bool:
        super().has_permission(request, view)
        token = request.auth
        if token.cell_id is not None or tokens.SESSION not in token.scopes:
            raise NotAuthenticated
        return True


class ExportViews(V1ViewSet):
    permission_classes = (SessionNeeded,)
    errors = ExportErrors()
    schema = V1Schema()

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        with acting.nobody_yet():
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        acting.acts(token=request.auth, address=client_address(request))

    def export(self, request: Request, id: str) -> Export:
        return selectors.export_get(id=path_id(id), user=request.user)

    def answer(self, export: Export, *, log: str = "long") -> HttpResponseBase:
        """The export as the database has it now."""
        fresh = selectors.export_get(id=export.pk, user=export.owner)
        return json_response(present.export_whole(fresh, log=log))


def path_id(text: str) -> int:
    """A decimal integer ≥ 1 (`spec/v1.md §1.10`)."""
    if not (_ID.fullmatch(text) and int(text)):
        raise checks.type_mismatch("id", "an integer of at least 1")
    return int(text)
