"""What went wrong, said to people: errors of the domain in the language that is active."""

from django.utils.translation import gettext

from cells.errors import DomainError
from exports.services.reasons import INTERNAL, LONGEST, error_sentences, filled, held, said

__all__ = ["INTERNAL", "said", "stored_text", "text"]


def text(error: DomainError) -> str:
    """The error's sentence; `DomainError` keeps it in the class's docstring."""
    params = {name: said(value) if name == "reason" else value for name, value in error.params.items()}
    return gettext(type(error).__doc__ or error.code).format(**params)


def stored_text(error: dict[str, str] | None) -> str:
    """The same for one that was written down as {"code", "message"}, in English; "" for none.

    What the sentence named is read out of it. A sentence that was worded otherwise once stays as it is.
    """
    message = (error or {}).get("message", "")
    template = error_sentences().get((error or {}).get("code", ""), "")
    found = held(template, message) if template and len(message) <= LONGEST else None
    return said(message) if found is None else filled(gettext(template), found)
