"""What went wrong, said to people: errors of the domain in the language that is active."""

import re
from functools import cache
from string import Formatter

from django.utils.translation import gettext, gettext_noop

from cells.errors import DomainError

#: Of what is our fault, as stored with runs and imports.
INTERNAL = gettext_noop("Internal error.")
#: Characters of a stored sentence that is looked at.
_LONGEST = 2000


def text(error: DomainError) -> str:
    """The error's sentence; `DomainError` keeps it in the class's docstring."""
    return gettext(type(error).__doc__ or error.code).format(**error.params)


def stored_text(error: dict[str, str] | None) -> str:
    """The same for one that was written down as {"code", "message"}, in English; "" for none.

    What the sentence named is read out of it. A sentence that was worded otherwise once stays as it is.
    """
    message = (error or {}).get("message", "")
    template = _templates().get((error or {}).get("code", ""), "")
    pattern = "".join(re.escape(words) + ("(.*)" if name else "") for words, name in _fields(template))
    found = re.fullmatch(pattern, message, re.DOTALL) if len(message) <= _LONGEST else None
    if not template or found is None:
        return message
    values = dict(zip([name for _, name in _fields(template) if name], found.groups(), strict=True))
    return "".join(words + values.get(name, "") for words, name in _fields(gettext(template)))


@cache
def _templates() -> dict[str, str]:
    """Error's code → its sentence."""
    kinds, found = [DomainError], {"internal": INTERNAL}
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        found |= {kind.code: kind.__doc__} if kind is not DomainError and kind.__doc__ else {}
    return found


def _fields(template: str) -> list[tuple[str, str]]:
    """(words, name of the value behind them, "" at the end)."""
    return [(words, name or "") for words, name, _, _ in Formatter().parse(template)]
