"""A real SMTP server, and what it was given."""

from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default

from aiosmtpd.controller import Controller

from tests.transports.servers import free_ports


class Inbox:
    """Keeps what arrives; refuses addresses as told: {address: SMTP answer}."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, EmailMessage]] = []
        self.refusals: dict[str, str] = {}

    async def handle_RCPT(self, server, session, envelope, address: str, options) -> str:
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope) -> str:
        message = BytesParser(policy=default).parsebytes(envelope.content)
        self.mails += [(address, message) for address in envelope.rcpt_tos]
        return "250 OK"

    @property
    def to(self) -> list[str]:
        return [address for address, _ in self.mails]


@contextmanager
def smtp_server(settings) -> Iterator[Inbox]:
    """Django's mail goes there, instead of the box that pytest-django puts in its place."""
    inbox = Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=free_ports()[0])
    controller.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = controller.hostname, controller.port
    yield inbox
    controller.stop()
