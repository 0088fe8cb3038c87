"""Signing in and out. Attempts are counted as for v1's sessions: both doors have one lock."""

from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib import auth
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from cells import tokens
from cells.api.sessions import client_address
from cells.errors import DomainError
from exports.web.errors import text


class SignInForm(forms.Form):
    login = forms.CharField(
        label=_("Login or e-mail address"),
        max_length=254,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


@sensitive_post_parameters("password")
def sign_in(request: HttpRequest) -> HttpResponse:
    form = SignInForm(request.POST or None)
    following = _following(request)
    status = 200
    if form.is_valid():
        try:
            user = tokens.password_user(**form.cleaned_data, address=client_address(request))
        except DomainError as error:
            form.add_error(None, text(error))
            status = 403
        else:
            auth.login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
            return _go_on(request, following)
    return render(request, "web/sign_in.html", {"form": form, "next": following}, status=status)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    auth.logout(request)
    return redirect("web:sign-in")


def _go_on(request: HttpRequest, following: str) -> HttpResponse:
    """To a page of ours by a redirect. Steps of a move lead on to other servers, where the policy lets no form go, not
    even by redirects: a page in between makes it a journey of its own."""
    if "/move/" in urlsplit(following).path:
        return render(request, "web/go_on.html", {"following": following})
    return redirect(following)


def _following(request: HttpRequest) -> str:
    """Where the person was going, if that is here."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if ours else "/web/"
