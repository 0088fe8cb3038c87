"""What somebody wants of us: mails, time zone, language."""

import re

from django.contrib.auth.models import User

from cells.validators import time_zones
from exports.errors import DefinitionRefused
from exports.models import Notify, Preference

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})?", re.ASCII)


def preference_update(
    *, user: User, notify: str | None = None, timezone: str | None = None, language: str | None = None
) -> Preference:
    """What is None stays; "" stands for the site's zone, and for the browser's language. Raises DefinitionRefused."""
    if notify is not None and notify not in Notify.values:
        raise _refused("notify", f"is none of {', '.join(Notify.values)}")
    if timezone and timezone not in time_zones():
        raise _refused("timezone", f"{timezone[:80]!r} is no time zone")
    if language and not _LANGUAGE.fullmatch(language):
        raise _refused("language", f"{language[:80]!r} is no language, as in de or pt-br")
    given = {"notify": notify, "timezone": timezone, "language": language}
    changed = {name: value for name, value in given.items() if value is not None}
    preference, _ = Preference.objects.update_or_create(user=user, defaults=changed)
    return preference


def _refused(attribute: str, reason: str) -> DefinitionRefused:
    return DefinitionRefused(attribute=attribute, reason=reason, fault="invalid_value")
