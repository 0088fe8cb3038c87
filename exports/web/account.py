"""One's own account: how pages look, which mails come, the password, and tokens for programs."""

from datetime import timedelta

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from cells import tokens
from cells.reading import cells_of
from exports.services.addresses import cell_url
from exports.services.preferences import preference_update
from exports.web import people, words
from exports.web.people import member
from exports.web.schedule_form import ZoneField

#: Days → words; 0 is for ever.
_LIFETIMES = ((1, _("one day")), (30, _("30 days")), (365, _("one year")), (0, _("until it is revoked")))
_SHOWN = 16
#: What another server needs that moves a cell in (`spec/move.md §3.3`).
_MOVE = ["io.cozy.imports"]


class PreferenceForm(forms.Form):
    timezone = ZoneField(label=_("Time zone"), required=False, help_text=_("Empty: as the browser says."))
    language = forms.ChoiceField(label=_("Language"), required=False)
    notify = forms.ChoiceField(label=_("Mails to me"), choices=[*words.MAILS.items()])

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["language"].choices = [("", _("as the browser says")), *settings.LANGUAGES]


class PasswordForm(PasswordChangeForm):
    """Django's wants the focus as soon as the page is there; on this page it is one form of several."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["old_password"].widget.attrs.pop("autofocus", None)


class TokenForm(forms.Form):
    cell = forms.ChoiceField(label=_("Good for"), required=False)
    use = forms.ChoiceField(
        label=_("For"),
        required=False,
        choices=[("", _("everything there")), ("move", _("taking in a cell that moves here"))],
    )
    days = forms.TypedChoiceField(label=_("Valid"), choices=_LIFETIMES, coerce=int, initial=30)

    def __init__(self, *args, user, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.cells = {cell.name: cell for cell in cells_of(user)}
        only = [(name, _("the cell {name} alone").format(name=name)) for name in self.cells]
        self.fields["cell"].choices = [("", _("everything I may do")), *only]

    def clean(self) -> dict[str, object]:
        given = super().clean() or {}
        if given.get("use") and not given.get("cell") and "cell" not in self.errors:
            self.add_error("cell", _("Choose the cell whose content is to be replaced."))
        return given


@member
def account(request: HttpRequest) -> HttpResponse:
    return _page(request)


@member
@require_POST
def preferences(request: HttpRequest) -> HttpResponse:
    form = PreferenceForm(request.POST)
    if not form.is_valid():
        return _page(request, preference_form=form)
    preference_update(user=request.user, **form.cleaned_data)
    messages.success(request, gettext("Saved."))
    return redirect("web:account")


@member
@require_POST
def token_new(request: HttpRequest) -> HttpResponse:
    """Shows the token on the very page that answers, and never again."""
    form = TokenForm(request.POST, user=request.user)
    if not form.is_valid():
        return _page(request, token_form=form)
    cell, days = form.cells.get(form.cleaned_data["cell"]), form.cleaned_data["days"]
    scopes = _MOVE if form.cleaned_data["use"] else []
    expires = timedelta(days=days) if days else None
    raw = tokens.token_create(user=request.user, cell=cell, scopes=scopes, expires=expires)
    address = f"{cell_url(cell).rstrip('/')}" if cell and scopes else ""
    return _page(request, raw=raw, address=address)


@member
@require_POST
def token_revoke(request: HttpRequest) -> HttpResponse:
    if tokens.token_revoke(user=request.user, start=request.POST.get("token", "").replace("\0", "")):
        messages.success(request, gettext("The token opens nothing any more."))
    return redirect("web:account")


@sensitive_post_parameters()
@member
@require_POST
def password(request: HttpRequest) -> HttpResponse:
    form = PasswordForm(request.user, request.POST)
    if not form.is_valid():
        return _page(request, password_form=form)
    update_session_auth_hash(request, form.save())
    tokens.sessions_end(request.user)
    messages.success(request, gettext("The password has been changed. Everywhere else you are signed out."))
    return redirect("web:account")


def _page(request: HttpRequest, *, raw: str = "", address: str = "", **forms_given: forms.Form) -> HttpResponse:
    wanted = people.preference(request)
    initial = {"timezone": wanted.timezone, "language": wanted.language, "notify": wanted.notify}
    context = {
        "preference_form": PreferenceForm(initial=initial),
        "token_form": TokenForm(user=request.user, initial=_wanted_token(request)),
        "password_form": PasswordForm(request.user),
        "tokens": [(row.digest[:_SHOWN], row, row.scopes == _MOVE) for row in tokens.tokens_of(request.user)[:200]],
        "raw": raw,
        "address": address,
        **forms_given,
    }
    return render(request, "web/account.html", context)


def _wanted_token(request: HttpRequest) -> dict[str, object]:
    """Another page may say what it is needed for; what was chosen before is not forgotten either."""
    return {name: request.GET[name] for name in ("cell", "use") if name in request.GET} | {"days": 30}
