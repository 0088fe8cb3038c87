"""Where an export goes: one form for each kind of transport. What may be in it, the transport itself says."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from exports.errors import DefinitionRefused
from exports.models import Transport
from exports.registry import TRANSPORTS
from exports.services.exports import TransportSpec
from exports.services.secrets import secrets_open
from exports.services.sentences import said
from exports.transports.email import check_recipients
from exports.web import words

_FILES = "files"


def _text(label: Any, help_text: Any = "", *, required: bool = False, example: str = "") -> forms.CharField:
    attrs = {"placeholder": example, "autocomplete": "off", "spellcheck": "false"}
    return forms.CharField(label=label, help_text=help_text, required=required, widget=forms.TextInput(attrs=attrs))


def _secret(label: Any, *, lines: bool = False) -> forms.CharField:
    attrs = {"autocomplete": "new-password", "spellcheck": "false"}
    widget = forms.Textarea(attrs={**attrs, "rows": 3}) if lines else forms.PasswordInput(attrs=attrs)
    return forms.CharField(label=label, required=False, strip=False, widget=widget)


def _host_key(**options: Any) -> forms.CharField:
    return _text(
        _("Host key of the server"),
        _("What “ssh-keyscan” prints for the server, without its name in front."),
        **options,
    )


class TransportForm(forms.Form):
    """Fields that are options carry the option's own name. `kept`: the options, as stored, that no field shows."""

    kind = ""
    secrets: tuple[str, ...] = ()
    packer = forms.ChoiceField(
        label=_("Packed as"),
        choices=[(key or _FILES, word) for key, word in words.PACKERS.items()],
        initial="zip",
    )

    def __init__(self, *args: Any, before: Transport | None = None, **kwargs: Any) -> None:
        self.before = before
        if before is not None:
            kwargs["initial"] = {**self.shown(before), **kwargs.get("initial", {})}
        super().__init__(*args, **kwargs)
        for name in self.secrets if before is not None and before.secrets else ():
            self.fields[name].help_text = _("Stored, and never shown. Leave empty to keep it.")

    @classmethod
    def base_title(cls) -> str:
        return str(words.TRANSPORTS[cls.kind])

    def shown(self, row: Transport) -> dict[str, Any]:
        return {**row.options, "packer": row.packer or _FILES}

    def options(self) -> dict[str, Any]:
        kept = self.before.options if self.before is not None else {}
        given = {
            name: value for name, value in self.cleaned_data.items() if name not in ("packer", *self.secrets, *_EMAIL)
        }
        return {**kept, **given}

    def email(self) -> dict[str, object] | None:
        return self.before.email if self.before is not None else None

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        if not self.errors:
            try:
                self.checked = TRANSPORTS.load(self.kind).CARRIER.check("", self.options())
                self.mail = self.email()
            except DefinitionRefused as error:
                name = str(error.params["attribute"]).lstrip(".").partition("[")[0].partition(".")[0]
                self.add_error(name if name in self.fields else None, said(str(error.params["reason"])))
        return data

    def spec(self) -> TransportSpec:
        packer = self.cleaned_data["packer"]
        return TransportSpec(
            type=self.kind,
            packer=None if packer == _FILES else packer,
            options=self.checked,
            email=self.mail,
            secrets=self._kept() | {name: self.cleaned_data[name] for name in self.secrets if self.cleaned_data[name]},
        )

    def _kept(self) -> dict[str, str]:
        """Stored secrets go where the form goes, not to its old position, and to no other server."""
        carrier = TRANSPORTS.load(self.kind).CARRIER
        if self.before is None or carrier.origin(self.before.options) != carrier.origin(self.checked):
            return {}
        return secrets_open(self.before.secrets)


class DownloadForm(TransportForm):
    kind = "download"


_EMAIL = ("recipients", "message")


class EmailForm(TransportForm):
    kind = "email"
    recipients = forms.CharField(
        label=_("To"),
        help_text=_("Addresses, separated by commas."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "email"}),
    )
    message = forms.CharField(label=_("A few words"), required=False, widget=forms.Textarea(attrs={"rows": 2}))
    attach = forms.BooleanField(label=_("Attach the archives if they are small"), required=False)

    def shown(self, row: Transport) -> dict[str, Any]:
        email = row.email or {}
        users = [each.get("user") or {} for each in email.get("recipients", ())]
        mails = [user["login"] for user in users if user.get("type") == "email"]
        return {**super().shown(row), "recipients": ", ".join(mails), "message": email.get("message", "")}

    def email(self) -> dict[str, object]:
        """Groups and accounts that a program named as recipients stay."""
        before = (self.before.email or {}).get("recipients", ()) if self.before is not None else ()
        kept = [each for each in before if (each.get("user") or {}).get("type") != "email"]
        mails = filter(None, (mail.strip() for mail in self.cleaned_data["recipients"].replace(";", ",").split(",")))
        given = [{"user": {"type": "email", "login": mail}} for mail in mails]
        recipients = check_recipients("recipients", [*kept, *given])
        return {"recipients": recipients, "message": self.cleaned_data["message"]}


class _ServerForm(TransportForm):
    secrets = ("password",)
    server = _text(_("Server"), required=True)
    directory = _text(_("Folder there"))
    login = _text(_("Login"))
    password = _secret(_("Password"))


class SFTPForm(_ServerForm):
    kind = "sftp"
    secrets = ("password", "private_key", "passphrase")
    server = _text(_("Server"), required=True, example="sftp://backup.example.org")
    host_key = _host_key(required=True, example="ssh-ed25519 AAAA…")
    private_key = _secret(_("Private key, instead of a password"), lines=True)
    passphrase = _secret(_("Passphrase of the key"))


class FTPForm(_ServerForm):
    kind = "ftp"
    server = _text(_("Server"), required=True, example="ftp://ftp.example.org")


class FTPSForm(_ServerForm):
    kind = "ftps"
    server = _text(_("Server"), required=True, example="ftps://ftp.example.org")


class WebDAVForm(_ServerForm):
    kind = "webdav"
    server = _text(_("Address"), required=True, example="https://cloud.example.org/remote.php/dav/files/me")


class S3Form(TransportForm):
    kind = "s3"
    secrets = ("secret_key",)
    server = _text(_("Address"), required=True, example="https://s3.eu-central-1.amazonaws.com")
    bucket = _text(_("Bucket"), required=True)
    directory = _text(_("Folder there"))
    region = _text(_("Region"), example="us-east-1")
    access_key = _text(_("Access key"), required=True)
    secret_key = _secret(_("Secret key"))


class RsyncForm(TransportForm):
    kind = "rsync"
    secrets = ("password", "private_key")
    destination = _text(
        _("Destination"),
        _("Over ssh, to an rsync server, or a folder here that the administrator allows."),
        required=True,
        example="ssh://me@backup.example.org/exports",
    )
    host_key = _host_key(example="ssh-ed25519 AAAA…")
    password = _secret(_("Password of an rsync server"))
    private_key = _secret(_("Private key for ssh"), lines=True)


FORMS: dict[str, type[TransportForm]] = {
    form.kind: form for form in (DownloadForm, EmailForm, SFTPForm, FTPForm, FTPSForm, WebDAVForm, S3Form, RsyncForm)
}
