"""`export.search`: what is asked for (`spec/v1.md §7`). What cannot run is refused when it is given."""

from exports.api.v1 import checks
from exports.services.searching import search_condition


def search(attribute: str, value: object) -> dict[str, object]:
    """Returns the search as it came. Null and absence are the caller's business."""
    given = checks.mapping(attribute, value)
    checks.storable(attribute, given)
    search_condition(given, attribute=attribute)
    return given
