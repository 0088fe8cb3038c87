"""When an export runs by itself, as a form."""

import re
from typing import Any

from django import forms
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from cells.validators import time_zones
from exports.models import Schedule
from exports.web import words

_NUMBER = re.compile(r"[0-9]{1,2}")


class NumbersField(forms.CharField):
    """ "1-7, 15" ↔ [1, 2, … 7, 15]."""

    def __init__(self, *, least: int, most: int, **kwargs: Any) -> None:
        self._least, self._most = least, most
        attrs = {"placeholder": kwargs.pop("example", ""), "autocomplete": "off"}
        super().__init__(required=False, widget=forms.TextInput(attrs=attrs), **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(words.ranges(sorted(value))).replace("–", "-") if isinstance(value, list) else value

    def clean(self, value: Any) -> list[int]:
        found: set[int] = set()
        for part in str(super().clean(value)).replace(";", ",").split(","):
            ends = [end.strip() for end in re.split("[-–]", part)]
            if ends == [""]:
                continue
            if len(ends) > 2 or not all(_NUMBER.fullmatch(end) for end in ends):
                raise forms.ValidationError(gettext("Numbers and ranges, as in 1-7, 15."))
            found |= set(range(int(ends[0]), int(ends[-1]) + 1))
        if found and not (self._least <= min(found) and max(found) <= self._most):
            range_text = gettext("From {least} to {most}.")
            raise forms.ValidationError(range_text.format(least=self._least, most=self._most))
        return sorted(found)


class ZoneField(forms.CharField):
    """An IANA name. The page holds the list once (`web/zones.html`): 600 options in each schedule weigh too much."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off"}), **kwargs)

    def clean(self, value: Any) -> str:
        zone = super().clean(value)
        if zone and zone not in time_zones():
            raise forms.ValidationError(gettext("There is no time zone of this name."))
        return zone


class ScheduleForm(forms.Form):
    weekdays = forms.MultipleChoiceField(
        label=_("Weekdays"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        choices=list(zip(words.WEEKDAY_KEYS, words.WEEKDAYS, strict=True)),
    )
    days_of_month = NumbersField(
        least=1,
        most=31,
        label=_("Days of the month"),
        example="1-7",
        help_text=_("With a weekday too, both must hold."),
    )
    hours = NumbersField(least=0, most=23, label=pgettext_lazy("schedule", "Hours"), example="2")
    minutes = NumbersField(least=0, most=59, label=pgettext_lazy("schedule", "Minutes"), example="0")
    timezone = ZoneField(label=_("Time zone"))

    def row(self) -> Schedule:
        return Schedule(definition=self.definition(), timezone=self.cleaned_data["timezone"])

    def definition(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if value and name != "timezone"}

    @staticmethod
    def shown(row: Schedule) -> dict[str, Any]:
        days = [str(day)[:3].lower() for day in row.definition.get("weekdays") or ()]
        return {**row.definition, "weekdays": days, "timezone": row.timezone}
