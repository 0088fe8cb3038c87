"""Who is calling, for which cell, and what the token allows (`spec/move.md §3`)."""

import re
from base64 import b64decode
from typing import NamedTuple

from django.contrib.auth.models import User
from rest_framework.request import Request

from cells import tokens
from cells.errors import CellMoved, CellNotFound, NameRefused, SessionInvalid, SessionNotFound
from cells.models import AccessToken, Cell
from cells.validators import cell_name
from exports.api.move.errors import forbidden, scope_malformed, token_expired, token_invalid, token_missing

EXPORTS, IMPORTS = "io.cozy.exports", "io.cozy.imports"
VERBS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(?:\.\*)?")
#: Dots that a type with a wildcard must have at least: `io.cozy.bank.*`.
_WILDCARD_DOTS = 3


class Rule(NamedTuple):
    type: str
    verbs: frozenset[str]
    values: tuple[str, ...]

    def allows_whole(self, doctype: str, verb: str) -> bool:
        """Whether it is a permission on the whole type: a rule for some ids or a selector is not."""
        covered = self.type == doctype or (self.type.endswith(".*") and doctype.startswith(self.type[:-1]))
        return covered and verb in self.verbs and not self.values


def rules(scope: str) -> list[Rule]:
    """The inline form: rules separated by a space, parts by ":", items by ","."""
    parsed = [_rule(text) for text in scope.split(" ")] if scope.strip() else []
    if not parsed:
        raise scope_malformed()
    return parsed


def _rule(text: str) -> Rule:
    type, *rest = text.split(":")
    if not _TYPE.fullmatch(type) or (type.endswith(".*") and type.count(".") < _WILDCARD_DOTS) or len(rest) > 3:
        raise scope_malformed()
    verbs = frozenset(rest[0].split(",")) if rest and rest[0] else frozenset({"ALL"})
    if not verbs <= VERBS | {"ALL"}:
        raise scope_malformed()
    values = tuple(value for value in rest[1].split(",") if value) if len(rest) > 1 else ()
    return Rule(type, VERBS if "ALL" in verbs else verbs, values)


def raw_token(request: Request) -> str:
    """§3.1, in its order; "" when there is none."""
    scheme, _, value = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    if scheme.lower() == "basic":
        try:
            password = b64decode(value.strip(), validate=True).decode().partition(":")[2]
        except ValueError:
            raise token_invalid() from None
        if password:
            return password
    return request.query_params.get("bearer_token", "")


def token_of(request: Request) -> AccessToken:
    """The token, of somebody. Raises the errors of §2.4."""
    raw = raw_token(request)
    if not raw:
        raise token_missing()
    return token_known(raw)


def token_known(raw: str) -> AccessToken:
    """The token, of somebody. Raises the errors of §2.4."""
    try:
        token = tokens.token_find(raw)
    except SessionNotFound:
        raise token_invalid() from None
    except SessionInvalid:
        raise token_expired() from None
    if token.user is None:
        raise token_invalid()
    return token


def cell_named(name: str) -> Cell:
    """Raises CellNotFound, also for what can be no name of a cell."""
    try:
        cell = Cell.objects.select_related("owner").filter(name=cell_name(name)).first()
    except NameRefused:
        cell = None
    if cell is None:
        raise CellNotFound(name=name)
    return cell


def cell_of(token: AccessToken, named: Cell | None) -> Cell:
    """As `cell_anywhere`. Raises CellMoved for one that is on another server now (§2.4)."""
    cell = cell_anywhere(token, named)
    here_check(cell)
    return cell


def here_check(cell: Cell) -> None:
    """Raises CellMoved."""
    if cell.moved_to:
        raise CellMoved(name=cell.name, url=cell.moved_to)


def cells_here(user: User) -> list[Cell]:
    """Those that the user owns, and that have not moved away; the moved ones when there is no other."""
    owned = list(Cell.objects.select_related("owner").filter(owner=user).order_by("name"))
    return [cell for cell in owned if not cell.moved_to] or owned


def cell_anywhere(token: AccessToken, named: Cell | None) -> Cell:
    """The cell that the URL names, else the token's, else the only one that its user owns, here or moved away.

    A cell of somebody else is forbidden; that it is there anybody sees who knows its address.
    """
    if token.cell is not None:
        if named is not None and named.pk != token.cell_id:
            raise forbidden()
        return token.cell
    if named is not None:
        if named.owner_id != token.user_id:
            raise forbidden()
        return named
    owned = cells_here(token.user)
    if len(owned) != 1:
        raise CellNotFound(name="")
    return owned[0]


def permission_check(token: AccessToken, doctype: str, verb: str) -> None:
    """A session may do everything with its user's cells, a root token with its cell; others what their scopes say."""
    if (tokens.SESSION in token.scopes and token.cell_id is None) or (tokens.ROOT in token.scopes and token.cell_id):
        return
    names = {tokens.SESSION, tokens.ROOT, tokens.LOGIN}
    found = rules(" ".join(scope for scope in token.scopes if scope not in names))
    if not any(rule.allows_whole(doctype, verb) for rule in found):
        raise forbidden()
