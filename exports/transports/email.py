"""Mail with links to the archives (`spec/v1.md §9.4`); with `attach`, small ones come along.

Each recipient gets a mail of his own: nobody sees who else was told. Who got one is remembered, so that a second try
after a broken connection tells nobody twice.
"""

import mimetypes
import smtplib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext

from exports.transports.base import (
    Carrier,
    Progress,
    Shipment,
    Target,
    TransportError,
    option_flag,
    refused,
    whole,
)
from exports.transports.servers import reason

MOST_RECIPIENTS = 1000
_LARGEST_ID = 2**63 - 1


class EmailCarrier(Carrier):
    """Options: attach (archives up to EMAIL_ATTACH_LIMIT together go into the mail)."""

    def check(self, attribute: str, options: Mapping[str, object]) -> dict[str, object]:
        return {"attach": option_flag(attribute, options, "attach")}

    def deliver(self, target: Target, shipment: Shipment, progress: Progress) -> None:
        email = target.email or {}
        attached = _attachments(shipment, progress) if target.options.get("attach") else []
        links = [(name, url, readable_size(size)) for name, url, size in shipment.links()]
        context = {"name": shipment.name, "links": links, "message": email.get("message", ""), "attached": attached}
        self._send(target, progress, "delivery", context, attached)

    def canary(self, target: Target, progress: Progress) -> None:
        """Who can read a mailbox is not us: what is proved is that the mail server takes mail for them."""
        self._send(target, progress, "delivery_test", {}, [])

    def _send(
        self,
        target: Target,
        progress: Progress,
        template: str,
        context: dict[str, object],
        attached: list[tuple[str, bytes]],
    ) -> None:
        found = addresses(target.email or {}, progress)
        if not found:
            raise TransportError("None of the recipients has an address.", permanent=True)
        refusals = []
        with faults("reach the mail server"), mail.get_connection() as connection:
            for address, language in found.items():
                if progress.finished(address):
                    continue
                with speaking(language):
                    message = mail_made(template, _subject(template, context), context, address)
                message.connection = connection
                for name, data in attached:
                    message.attach(name, data, mimetypes.guess_type(name)[0] or "application/octet-stream")
                try:
                    with faults(f"send mail to {address}"):
                        message.send()
                except TransportError as error:
                    if not error.permanent:
                        raise
                    refusals.append(str(error))
                    progress.note(str(error))
                    continue
                progress.finish(address)
                progress.note(f"Sent to {address}.")
        if refusals:
            raise TransportError(" ".join(refusals)[:1000], permanent=True)


def _subject(template: str, context: Mapping[str, object]) -> str:
    if template == "delivery_test":
        return gettext("Test of an export's mail")
    return gettext("Export: {name}").format(name=context["name"])


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """To somebody who wants this language, as in "de" or "de-AT"; in English where it is none that we speak."""
    try:
        spoken = translation.get_supported_language_variant(language or settings.LANGUAGE_CODE)
    except LookupError:
        spoken = settings.LANGUAGE_CODE
    with translation.override(spoken):
        yield


def mail_made(template: str, subject: str, context: dict[str, object], to: str) -> mail.EmailMultiAlternatives:
    """In the language that is active. No subject can add a header."""
    text, html = (render_to_string(f"exports/mail/{template}.{kind}", context) for kind in ("txt", "html"))
    message = mail.EmailMultiAlternatives(" ".join(subject.split()), text, to=[to])
    message.attach_alternative(html, "text/html")
    return message


def check_recipients(attribute: str, value: object) -> list[dict[str, object]]:
    """{"user": {"_id"}}, {"group": {"_id"}} or {"user": {"type": "email", "login": address}}, as §9.4 writes them."""
    if not isinstance(value, list):
        raise refused(attribute, "must be an array", "type_mismatch")
    if len(value) > MOST_RECIPIENTS:
        raise refused(attribute, f"has more than {MOST_RECIPIENTS} recipients")
    return [_recipient(f"{attribute}[{index}]", each) for index, each in enumerate(value)]


def _recipient(attribute: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise refused(attribute, "must be an object", "type_mismatch")
    for kind in ("user", "group"):
        who = value.get(kind)
        if isinstance(who, dict) and type(who.get("_id")) is int and 0 < who["_id"] <= _LARGEST_ID:
            return {kind: {"_id": who["_id"]}}
    who = value.get("user")
    if isinstance(who, dict) and who.get("type") == "email" and isinstance(who.get("login"), str):
        try:
            validate_email(who["login"])
        except ValidationError:
            raise refused(f"{attribute}.user.login", "is not an address") from None
        language = who.get("frontend_language")
        more = {"frontend_language": language} if isinstance(language, str) and len(language) < 20 else {}
        return {"user": {"type": "email", "login": who["login"], **more}}
    raise refused(
        attribute, 'is neither {"user": {"_id"}}, {"group": {"_id"}} nor {"user": {"type": "email", "login"}}'
    )


def addresses(email: Mapping[str, object], progress: Progress) -> dict[str, str]:
    """{address: language}, each once. Somebody without an address, or who is gone, is skipped with a note."""
    found: dict[str, str] = {}
    recipients = email.get("recipients")
    for recipient in recipients if isinstance(recipients, list) else []:
        user, group = recipient.get("user") or {}, recipient.get("group") or {}
        if user.get("type") == "email":
            mails = [(user["login"], user.get("frontend_language", ""))]
        elif "_id" in user:
            mails = _mails(User.objects.filter(pk=user["_id"]))
        else:
            mails = _mails(User.objects.filter(groups__in=Group.objects.filter(pk=group.get("_id"))))
        if not any(address for address, _ in mails):
            progress.note(f"A recipient has no address and was skipped: {recipient}.")
        for address, language in mails:
            if address:
                found.setdefault(address, language)
    return found


def _mails(users: QuerySet[User]) -> list[tuple[str, str]]:
    rows = users.filter(is_active=True).order_by("pk").values_list("email", "preference__language")
    return [(address, language or "") for address, language in rows]


def _attachments(shipment: Shipment, progress: Progress) -> list[tuple[str, bytes]]:
    """All archives when they fit the limit together, else none: then the links are what there is."""
    found: list[tuple[str, bytes]] = []
    left = settings.EMAIL_ATTACH_LIMIT
    for item in shipment.items():
        left -= item.length
        if left < 0:
            progress.note(
                f"More than {readable_size(settings.EMAIL_ATTACH_LIMIT)}: nothing is attached, the links are sent."
            )
            return []
        if not item.name.endswith("/"):
            found.append((item.name.rpartition("/")[2], b"".join(whole(item, progress))))
    return found


def readable_size(size: int | None) -> str:
    if size is None:
        return ""
    value, units = float(size), iter(("bytes", "KB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= 1024 and unit != "TB":
        value, unit = value / 1024, next(units)
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"


@contextmanager
def faults(doing: str) -> Iterator[None]:
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        texts = "; ".join(str(text.decode(errors="replace")) for _, text in error.recipients.values())
        raise TransportError(f"Cannot {doing}: {texts[:300]}", permanent=all(code >= 500 for code in codes)) from error
    except smtplib.SMTPAuthenticationError as error:
        raise TransportError(f"Cannot {doing}: the server's own login is refused.", permanent=True) from error
    except smtplib.SMTPResponseException as error:
        text = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        raise TransportError(f"Cannot {doing}: {text[:300]}", permanent=error.smtp_code >= 500) from error
    except (smtplib.SMTPException, OSError) as error:
        raise TransportError(f"Cannot {doing}: {reason(error)}", permanent=False) from error


CARRIER = EmailCarrier()
