"""One form for one export: what, how, when and where to. Without JavaScript it grows by being sent and shown again.

A program may have asked for what no field here can say (a search, options of a transport); that stays as it is.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.forms import BoundField
from django.forms.utils import ErrorDict
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from cells.reading import cells_of
from exports.models import Export, Schedule, Transport
from exports.services import overview
from exports.services.exports import ExportChanges
from exports.web import words
from exports.web.schedule_form import ScheduleForm
from exports.web.transport_forms import FORMS, TransportForm

FORMATS = ("json", "csv", "xml", "xlsx")
#: More transports or schedules than this are for programs.
MOST = 20
_TRANSPORT = re.compile(r"(?P<kind>[a-z0-9]+)-[0-9]{1,3}(-(?P<uuid>[0-9a-f-]{36}))?")
_SCHEDULE = re.compile(r"schedule-[0-9]{1,3}")


#: `lines` alone can be imported again (FORMAT.md).
_PURPOSES = {
    "lines": _("Complete, to be kept and brought back here"),
    "formats": _("For other programs: JSON, CSV, XML or Excel"),
    "none": _("None, the files alone"),
}


class ExportForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=255,
        required=False,
        help_text=_("Archives are called like it. One that runs by schedule needs a name."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    type = forms.ChoiceField(
        label=_("Each run takes"), choices=[*words.TYPES.items()][:2], widget=forms.RadioSelect, initial="export"
    )
    cells = forms.MultipleChoiceField(
        label=_("Cells"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None ticked: all cells that you have when it runs."),
    )
    documents = forms.ChoiceField(
        label=_("Documents"), choices=[*_PURPOSES.items()], widget=forms.RadioSelect, initial="lines"
    )
    formats = forms.MultipleChoiceField(
        label=_("Documents for other programs, as"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        choices=[*zip(FORMATS, ("JSON", "CSV", "XML", "Excel"), strict=True)],
        help_text=_("Such an archive cannot be brought back here."),
    )
    doctypes = forms.MultipleChoiceField(
        label=_("Only these kinds of documents"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None ticked: all kinds."),
    )
    notify = forms.ChoiceField(
        label=_("Mail me when it has run"),
        required=False,
        choices=[("", _("as the account says")), *words.MAILS.items()],
    )

    def clean_formats(self) -> list[str]:
        formats = self.cleaned_data["formats"]
        if self.cleaned_data.get("documents") == "formats" and not formats:
            raise forms.ValidationError(gettext("Choose one at least."))
        return formats

    def __init__(self, *args: Any, owner: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.owned = list(cells_of(owner))
        self.fields["cells"].choices = [(cell.name, cell.name) for cell in self.owned]
        self.fields["doctypes"].choices = [(name, name) for name in overview.doctype_names(cells=self.owned)]


class DefinitionForm:
    """The export's form, and those of its transports and schedules, each with a prefix that says what it is.

    A transport's prefix is `<kind>-<number>`, with `-<uuid>` behind it when it is stored already.
    """

    def __init__(self, *, owner: User, zone: str, export: Export | None = None, data: QueryDict | None = None) -> None:
        self.export, self._zone, self._data = export, zone, data
        rows = list(export.transports.all()) if export else []
        times = list(export.schedules.all()) if export else []
        self._search = (export.definition.get("search") or {}) if export else {}
        self.main = ExportForm(data, owner=owner, initial=self._initial())
        if export and export.type == "download":
            self.main.fields["type"].choices = [*words.TYPES.items()]
        if not self.says_search:
            del self.main.fields["doctypes"]
        #: False when a program made more than can be shown here: then they stay as they are.
        self.says_transports = len(rows) <= MOST and all(row.type in FORMS for row in rows)
        self.says_schedules = len(times) <= MOST
        self.transports: list[TransportForm] = []
        self.schedules: list[ScheduleForm] = []
        #: The part that a button has just added: the page opens there.
        self.added: forms.Form | None = None
        if data is not None:
            self._read(data, {str(row.uuid): row for row in rows})
            return
        for number, row in enumerate(rows if self.says_transports else ()):
            self.transports.append(FORMS[row.type](prefix=f"{row.type}-{number}-{row.uuid}", before=row))
        for number, row in enumerate(times if self.says_schedules else ()):
            self.schedules.append(ScheduleForm(prefix=f"schedule-{number}", initial=ScheduleForm.shown(row)))

    @property
    def says_search(self) -> bool:
        """Whether the search is one that this form can say."""
        return not (self._search.keys() - {"objecttypes"})

    @property
    def kinds(self) -> list[tuple[str, str]]:
        return [(kind, str(form.base_title())) for kind, form in FORMS.items()]

    def change(self) -> bool:
        """Do what a button asked for that adds or removes a part; whether one did."""
        added, removed = (self._data or {}).get("add", ""), (self._data or {}).get("remove", "")
        if added == "schedule" and len(self.schedules) < MOST:
            initial = {"timezone": self._zone, "hours": [2], "minutes": [0]}
            self.schedules.append(ScheduleForm(prefix=self._free("schedule"), initial=initial))
            self.added = self.schedules[-1]
        elif added in FORMS and len(self.transports) < MOST:
            self.transports.append(FORMS[added](prefix=self._free(added)))
            self.added = self.transports[-1]
        self.transports = [form for form in self.transports if form.prefix != removed]
        self.schedules = [form for form in self.schedules if form.prefix != removed]
        return bool(added or removed)

    def is_valid(self) -> bool:
        valid = [form.is_valid() for form in (self.main, *self.transports, *self.schedules)]  # all errors at once
        return all(valid)

    def complaints(self) -> list[tuple[str, BoundField, str]]:
        """(part of the page or "", field, what is wrong with it), in the order of the page."""
        parts = [("", self.main), *((gettext("Schedule"), form) for form in self.schedules)]
        parts += [(form.base_title(), form) for form in self.transports]
        return [(title, field, error) for title, form in parts for field in form for error in field.errors]

    def changes(self) -> ExportChanges:
        """What `export_update` takes, and, made from nothing, all that `export_create` needs. Call after `is_valid`."""
        given = self.main.cleaned_data
        definition = self._documents(given["documents"], given["formats"])
        if self.says_search:
            definition["search"] = {"objecttypes": given["doctypes"]} if given["doctypes"] else {}
        if given["notify"] or (self.export and self.export.definition.get("notify")):
            definition["notify"] = given["notify"] or None
        changes: ExportChanges = {
            "type": given["type"],
            "name": given["name"],
            "cells": given["cells"] or None,
            "definition": definition,
        }
        if self.says_transports:
            changes["transports"] = [form.spec() for form in self.transports]
        if self.says_schedules:
            changes["schedules"] = [
                {**form.definition(), "timezone": form.cleaned_data["timezone"]} for form in self.schedules
            ]
        return changes

    def chosen(self) -> Mapping[str, Any]:
        """Arguments of `overview.amount`, from what is chosen so far, however incomplete."""
        self.main.is_valid()
        given = self.main.cleaned_data
        wanted = set(given.get("cells") or ())
        return {
            "cells": [cell for cell in self.main.owned if not wanted or cell.name in wanted],
            "documents": self._has_documents(given),
            "only": given.get("doctypes") or (),
        }

    def hush(self) -> None:
        """Show what was entered without complaints: it is not finished yet."""
        for form in (self.main, *self.transports, *self.schedules):
            form._errors = ErrorDict()

    def schedule_rows(self) -> list[Schedule]:
        return [form.row() for form in self.schedules if form.is_valid()]

    @staticmethod
    def _has_documents(given: Mapping[str, Any]) -> bool:
        purpose = given.get("documents", "lines")
        return purpose == "lines" or (purpose == "formats" and bool(given.get("formats")))

    def _documents(self, purpose: str, formats: Collection[str]) -> dict[str, object]:
        """CSV and Excel keep the options that a program gave them."""
        before = self.export.definition if self.export else {}
        wanted = formats if purpose == "formats" else ()
        tables = {name: (before.get(name) or {}) if name in wanted else False for name in ("csv", "xlsx")}
        definition: dict[str, object] = {"json": "json" in wanted, "xml": "xml" in wanted, **tables}
        if purpose == "lines" or before.get("documents"):
            definition["documents"] = "lines" if purpose == "lines" else None
        return definition

    def _initial(self) -> dict[str, Any]:
        if self.export is None:
            return {}
        formats = [name for name in FORMATS if self.export.definition.get(name) not in (None, False)]
        return {
            "name": self.export.name,
            "type": self.export.type,
            "cells": self.export.cells or [],
            "documents": "lines" if self.export.definition.get("documents") else "formats" if formats else "none",
            "formats": formats,
            "doctypes": self._search.get("objecttypes") or [],
            "notify": self.export.definition.get("notify") or "",
        }

    def _read(self, data: QueryDict, rows: Mapping[str, Transport]) -> None:
        for prefix in data.getlist("transport")[:MOST]:
            if (found := _TRANSPORT.fullmatch(prefix)) and found["kind"] in FORMS:
                before = rows.get(found["uuid"] or "")
                same = before if before is not None and before.type == found["kind"] else None
                self.transports.append(FORMS[found["kind"]](data, prefix=prefix, before=same))
        for prefix in data.getlist("schedule")[:MOST]:
            if _SCHEDULE.fullmatch(prefix):
                self.schedules.append(ScheduleForm(data, prefix=prefix))

    def _free(self, kind: str) -> str:
        used = {"-".join(str(form.prefix).split("-")[:2]) for form in (*self.transports, *self.schedules)}
        return next(prefix for number in range(2 * MOST) if (prefix := f"{kind}-{number}") not in used)
