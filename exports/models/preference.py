"""How people want to be spoken to."""

from django.conf import settings
from django.db import models


class Notify(models.TextChoices):
    """Which ends of a run its owner gets a mail about."""

    ALL = "all"
    #: Warnings, failures, and schedules that were switched off.
    PROBLEMS = "problems"
    NONE = "none"


class Preference(models.Model):
    """One user's; who has no row has the defaults (`selectors.preference_get`)."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="preference"
    )
    notify = models.CharField(max_length=10, choices=Notify, default=Notify.ALL)
    #: IANA name; "" is the site's zone.
    timezone = models.CharField(max_length=64, default="", blank=True)
    #: As in `de` or `pt-br`; "" is what the browser asks for.
    language = models.CharField(max_length=16, default="", blank=True)

    def __str__(self) -> str:
        return f"preferences of {self.user_id}"
