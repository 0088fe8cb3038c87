"""The one shape of all transports: what they are given, what they promise, how they say what went wrong."""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from exports.errors import DefinitionRefused

#: Behind a name while it is being uploaded.
PARTIAL = ".partial"
CANARY_BYTES = 65_536
LONGEST_OPTION = 4096
LONGEST_SECRET = 65_536
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class TransportError(Exception):
    """A delivery did not succeed. The message is for people, without secrets.

    `permanent`: trying again without a change would fail again (wrong password, no such folder, a refused address).
    """

    def __init__(self, message: str, *, permanent: bool) -> None:
        self.permanent = permanent
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Item:
    """One file to deliver, or with a name that ends in "/" an empty folder to make.

    `name` is relative, slashes between folders, never `..`. `chunks(start, end)` gives bytes [start, end), as often
    as it is called. `file`: the same bytes as a plain local file, where there is one.
    """

    name: str
    length: int
    chunks: Callable[[int, int], Iterator[bytes]]
    #: Microseconds since 1970, UTC.
    mtime: int = 0
    file: str = ""


class Shipment(Protocol):
    """What one delivery takes along. Nothing of it is held whole: `items` may be millions."""

    #: Whether the items are all there is; if not (changes since the last time), nothing else may be deleted.
    complete: bool

    #: Of the export, fit to be a file name.
    name: str
    #: The folder that holds all items (`<export name>/`), which is then made to equal them; "" for archives.
    folder: str

    def items(self) -> Iterator[Item]:
        """In the order of delivery; names without `folder`."""

    def names_among(self, names: Iterable[str]) -> set[str]:
        """Which of these names (without `folder`) are items. Asked for one listing at a time."""

    def stale(self) -> Iterator[str]:
        """Names of archives that an earlier delivery put there and that are not part of the export any more.

        Asked for when all items have arrived, and to the end only if all of them could be deleted.
        """

    def links(self) -> list[tuple[str, str, int | None]]:
        """(name, URL, size) of what is to be downloaded: for mails."""


class Progress(Protocol):
    """Where a carrier reports. Each call may raise: then the delivery is not ours any more, and stops at once."""

    def tick(self, count: int) -> None:
        """`count` more bytes are on the other side."""

    def note(self, line: str) -> None:
        """A line for the owner's log. Never a secret."""

    def finished(self, key: str) -> bool:
        """Whether `finish(key)` was called by an earlier try."""

    def finish(self, key: str) -> None:
        """Something that must not be done twice (a mail) is done; kept at once."""


@dataclass(frozen=True)
class Target:
    """Where to: checked options, secrets apart so that no repr, log or error shows them, and whom to mail."""

    options: Mapping[str, object]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    email: Mapping[str, object] | None = None

    def text(self, name: str) -> str:
        return str(self.options.get(name) or "")

    def secret(self, name: str) -> str:
        return self.secrets.get(name, "")


class Carrier(ABC):
    """One kind of transport. A module of `exports.transports` offers it as `CARRIER`; it has no state.

    The contract, in the order of calls:

    1. `check`, by whoever accepts a definition: gives the options to keep, or raises DefinitionRefused. No network,
       no database. Secrets are taken out before (the names in `secrets`) and are checked for being text only.
    2. `origin`, by the service that keeps definitions: to whom secrets are shown. When an update changes it, kept
       secrets are dropped: a password travels only to the server that it was given for.
    3. `deliver`, by `services.delivery` in a worker: at most one at a time for a delivery, up to six times (a try
       that ended in a transient error, or whose worker died, is followed by another that begins from the start).
       It returns when everything has arrived and was compared, or raises TransportError, or whatever `progress`
       raised. It leaves no half file under a final name, whenever it is killed: upload to `<name>.partial`, compare
       size (and content where the protocol can), rename. What an earlier delivery left is overwritten.
    4. `canary`, by `services.delivery.delivery_test`, whenever somebody asks: writes a small file, reads it back,
       compares, deletes it. Raises as `deliver`.

    A carrier never follows a user's address except through `exports.egress`, never starts a shell, never gives a
    user's text to a program as an option, and puts no secret into a message or a command line.
    """

    #: Options that are written and never read.
    secrets: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def check(self, attribute: str, options: Mapping[str, object]) -> dict[str, object]: ...

    def origin(self, options: Mapping[str, object]) -> str:
        return str(options.get("server", ""))

    @abstractmethod
    def deliver(self, target: Target, shipment: Shipment, progress: Progress) -> None: ...

    @abstractmethod
    def canary(self, target: Target, progress: Progress) -> None: ...


def secrets_taken(
    attribute: str, options: Mapping[str, object], names: frozenset[str]
) -> tuple[dict[str, object], dict[str, str]]:
    """(the rest, the secrets). fylr writes `password:secret` for `password`. Null and "" are "": no secret any more."""
    rest, taken = dict(options), {}
    for name in names:
        for key in (name, f"{name}:secret"):
            if key in rest:
                value = rest.pop(key)
                checked = option_text(attribute, {name: value}, name, longest=LONGEST_SECRET, lines=True)
                taken[name] = checked
    return rest, taken


def option_text(
    attribute: str,
    options: Mapping[str, object],
    name: str,
    *,
    required: bool = False,
    longest: int = LONGEST_OPTION,
    lines: bool = False,
) -> str:
    """A text option, "" when absent. Control characters are refused; `lines` allows line breaks (keys)."""
    value = options.get(name)
    if value is None or value == "":
        if required:
            raise refused(f"{attribute}.{name}", "is required", "attribute_expected")
        return ""
    if not isinstance(value, str):
        raise refused(f"{attribute}.{name}", "must be a string", "type_mismatch")
    if len(value) > longest:
        raise refused(f"{attribute}.{name}", f"is longer than {longest} characters")
    if _CONTROL.search(value.replace("\n", "").replace("\r", "") if lines else value):
        raise refused(f"{attribute}.{name}", "holds control characters")
    return value


def option_flag(attribute: str, options: Mapping[str, object], name: str, default: bool = False) -> bool:
    value = options.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise refused(f"{attribute}.{name}", "must be true or false", "type_mismatch")
    return value


def option_folder(attribute: str, options: Mapping[str, object], name: str) -> str:
    """A folder on the other side, without slashes at its end; "/" becomes the root ("/"), absent the login's own."""
    value = option_text(attribute, options, name)
    parts = value.strip("/").split("/")
    if value.strip("/") and any(part in ("", ".", "..") for part in parts):
        raise refused(f"{attribute}.{name}", "must not hold empty parts, '.' or '..'")
    if value.startswith("-"):
        raise refused(f"{attribute}.{name}", "must not begin with a dash")
    return value.rstrip("/") or ("/" if value else "")


def refused(attribute: str, reason: str, fault: str = "invalid_value") -> DefinitionRefused:
    return DefinitionRefused(attribute=attribute, reason=reason, fault=fault)


def safe_name(name: str) -> str:
    """`name` with nothing in it that could leave its folder or end a command, whoever made it."""
    parts = [_CONTROL.sub("_", part) for part in name.split("/")]
    return "/".join({"": "_", ".": "_", "..": "__"}.get(part, part) for part in parts)


def whole(item: Item, progress: Progress, digest: "hashlib._Hash | None" = None) -> Iterator[bytes]:
    """All bytes of `item`, reported; a stream that is not as long as announced raises before it ends."""
    sent = 0
    for chunk in item.chunks(0, item.length) if item.length else ():
        sent += len(chunk)
        if sent > item.length:
            break
        if digest is not None:
            digest.update(chunk)
        yield chunk
        progress.tick(len(chunk))
    if sent != item.length:
        raise TransportError(f"{item.name}: {sent} bytes were read, {item.length} are planned", permanent=True)
