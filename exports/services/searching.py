"""What an export searches for, as the cells understand it."""

from django.conf import settings

from cells.search import Condition, SearchRefused, SearchTooLong, compile
from exports.errors import DefinitionRefused, SearchQueryTooLong


def search_condition(search: object, *, attribute: str = "search") -> Condition:
    """`attribute` is how a refusal (DefinitionRefused, SearchQueryTooLong) calls the definition."""
    try:
        return compile(search, instance=settings.INSTANCE_NAME, attribute=attribute)
    except SearchRefused as error:
        raise DefinitionRefused(attribute=error.attribute, reason=error.reason, fault=error.fault) from error
    except SearchTooLong as error:
        raise SearchQueryTooLong from error
