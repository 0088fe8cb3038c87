"""Exports of changes list what was deleted (`spec/v1.md §11`, FORMAT.md)."""

from collections.abc import Callable
from functools import wraps

from exports.engine.freeze import Layout
from exports.engine.layouts.deletions import with_deletions
from exports.models import Run
from exports.services.definitions import is_documented
from exports.services.incremental import since_of


def listing_deletions(make: Callable[..., Layout]) -> Callable[..., Layout]:
    """`make(run, …)` gives the layout of a run; of one that takes changes alone, with the list behind it."""

    @wraps(make)
    def made(run: Run, *more: object) -> Layout:
        layout, since = make(run, *more), since_of(run.order)
        if since is None:
            return layout
        definition = run.order.get("definition", {})
        documented = definition.get("documents") or is_documented(definition)
        doctypes = (definition.get("search") or {}).get("objecttypes") if documented else []
        return with_deletions(layout, since=since, files=definition.get("eas_fields") is None, doctypes=doctypes)

    return made
