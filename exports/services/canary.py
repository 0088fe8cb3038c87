"""A test of where a transport leads, on demand: "send a test file now"."""

import logging
from dataclasses import dataclass, field

from django.core.cache import cache
from django.db import OperationalError

from cells.errors import DomainError
from exports.errors import TransportTestRunning
from exports.models import Delivery, Transport
from exports.registry import TRANSPORTS
from exports.services.secrets import secrets_open
from exports.transports.base import Target, TransportError

log = logging.getLogger(__name__)

#: Whoever tests holds a thread of the server: one at a time for an owner. A server that died frees it then.
LONGEST_SECONDS = 900


def delivery_test(*, transport: Transport) -> list[str]:
    """Write a small file to where the transport leads, read it back, compare, delete it: what was done, in lines.

    Raises TransportError, SecretsUnreadable, TransportTestRunning. Nothing of the export's runs is touched.
    """
    key = f"transport-test:{transport.export.owner_id}"
    if not cache.add(key, 1, timeout=LONGEST_SECONDS):
        raise TransportTestRunning
    try:
        notes = Notes()
        TRANSPORTS.load(transport.type).CARRIER.canary(target(transport), notes)
        return notes.log
    except (TransportError, DomainError, OperationalError):
        raise
    except OSError as error:
        raise TransportError(error.strerror or type(error).__name__, permanent=False) from None
    except Exception as error:
        # Not the traceback: a library's message may hold what the other side was told.
        log.error("test of transport %s failed: %s", transport.pk, type(error).__name__)
        raise TransportError("Internal error.", permanent=True) from None
    finally:
        cache.delete(key)


def target(row: Delivery | Transport) -> Target:
    return Target(options=row.options, secrets=secrets_open(row.secrets), email=row.email)


@dataclass
class Notes:
    """A Progress of the kind that transports report to, for a test: nobody holds a lease, nothing is kept."""

    log: list[str] = field(default_factory=list)

    def tick(self, count: int) -> None:
        pass

    def note(self, line: str) -> None:
        self.log.append(line)

    def finished(self, key: str) -> bool:
        return False

    def finish(self, key: str) -> None:
        pass
