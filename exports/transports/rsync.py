"""rsync (`spec/v1.md §9.5`): to a daemon, over ssh, or into a folder of this machine that the administrator allows.

rsync reads files, and items are streams: they are written to a spool folder in batches, of which one exists at a time.
rsync itself compares whole-file checksums and renames only what is right.
"""

import contextlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from exports import egress
from exports.transports import local
from exports.transports.base import (
    CANARY_BYTES,
    Carrier,
    Item,
    Progress,
    Shipment,
    Target,
    TransportError,
    option_text,
    refused,
    safe_name,
    whole,
)
from exports.transports.remote import canary_file, delete_stale, deliver_all
from exports.transports.rsync_program import Program, run
from exports.transports.sftp import host_key_option

#: A batch ends with the file that makes it this large, or this long.
BATCH_BYTES, BATCH_FILES = 256 * 1024 * 1024, 5_000
#: What of rsync's own options may be asked for (`options.options`): (type, how it is written).
ALLOWED: dict[str, tuple[type, str]] = {
    "compress": (bool, "--compress"),
    "delete": (bool, "--delete"),
    "bwlimit": (int, "--bwlimit={}"),
}
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}")
_DESTINATIONS = (
    (
        "daemon",
        re.compile(
            r"rsync://(?:(?P<user>[^@/]*)@)?(?P<host>[^@/:\[]+|\[[^\]]*\])(?::(?P<port>[0-9]{1,5}))?/(?P<path>.+)"
        ),
    ),
    (
        "ssh",
        re.compile(
            r"ssh://(?:(?P<user>[^@/]*)@)?(?P<host>[^@/:\[]+|\[[^\]]*\])(?::(?P<port>[0-9]{1,5}))?(?P<path>/.*)"
        ),
    ),
    ("local", re.compile(r"(?P<path>/.*)")),
    ("daemon", re.compile(r"(?:(?P<user>[^@/:]*)@)?(?P<host>[^@/:\[]+|\[[^\]/]*\])::(?P<path>[^:].*)")),
    ("ssh", re.compile(r"(?:(?P<user>[^@/:]*)@)?(?P<host>[^@/:\[]+|\[[^\]/]*\]):(?P<path>.*)")),
)


class Destination(NamedTuple):
    """`kind`: daemon, ssh or local. `path`: of a daemon, the module first; without a slash at its end."""

    kind: str
    user: str
    host: str
    port: int
    path: str


class RsyncCarrier(Carrier):
    """Options: destination; options {compress, delete, bwlimit}; host_key (a whole key, for ssh); password
    (secret, of a daemon), private_key (secret, for ssh)."""

    secrets = frozenset({"password", "private_key"})

    def check(self, attribute: str, options: Mapping[str, object]) -> dict[str, object]:
        text = option_text(attribute, options, "destination", required=True)
        destination = parse(f"{attribute}.destination", text)
        key = host_key_option(attribute, options)
        if destination.kind == "ssh" and (not key or key.startswith("SHA256:")):
            raise refused(
                f"{attribute}.host_key", "is required for ssh, as in 'ssh-ed25519 AAAA…'", "attribute_expected"
            )
        if destination.kind == "local":
            local.require_allowed(destination.path, lambda reason: refused(f"{attribute}.destination", reason))
        return {
            "destination": text,
            "options": rsync_options(f"{attribute}.options", options.get("options")),
            **({"host_key": key} if key else {}),
        }

    def origin(self, options: Mapping[str, object]) -> str:
        destination = parse("destination", str(options.get("destination", "")))
        return f"{destination.kind} {destination.user}@{destination.host}:{destination.port}"

    def deliver(self, target: Target, shipment: Shipment, progress: Progress) -> None:
        destination = parse("destination", target.text("destination"))
        if destination.kind == "local":
            exact = bool(_options(target).get("delete"))
            with local.LocalRemote() as folder:
                deliver_all(folder, destination.path + "/", shipment, progress, compare=False, exact=exact)
            return
        with Program(destination, target) as program:
            count = size = 0
            for spool, files, total in batches(shipment, progress):
                run(program.push(spool, shipment.folder, _wanted(target)), program, progress)
                count, size = count + files, size + total
            if shipment.folder and shipment.complete and _options(target).get("delete"):
                with _spool() as names:
                    _outline(names, shipment, progress)
                    run(program.prune(names, shipment.folder), program, progress)
            progress.note(f"{count} files, {size} bytes have arrived.")
            if not shipment.folder:
                with _spool() as nothing:
                    delete_stale(lambda name: run(program.delete(name, nothing), program, progress), shipment, progress)

    def canary(self, target: Target, progress: Progress) -> None:
        destination = parse("destination", target.text("destination"))
        if destination.kind == "local":
            with local.LocalRemote() as folder:
                canary_file(folder, destination.path + "/", progress)
            return
        name, data = f"exportsite-test-{secrets.token_hex(8)}", secrets.token_bytes(CANARY_BYTES)
        with Program(destination, target) as program, _spool() as out, _spool() as back, _spool() as nothing:
            (out / name).write_bytes(data)
            run(program.push(out, "", []), program, progress)
            run(program.pull(name, back), program, progress)
            if (back / name).read_bytes() != data:
                raise TransportError("What was read back is not what was written.", permanent=False)
            run(program.delete(name, nothing), program, progress)
        progress.note(f"{name} was written, read back, compared and deleted.")


def parse(attribute: str, text: str) -> Destination:
    matches = ((kind, pattern.fullmatch(text)) for kind, pattern in _DESTINATIONS)
    kind, match = next(((kind, match) for kind, match in matches if match), ("", None))
    if match is None:
        raise refused(attribute, "is neither host::module/path, user@host:path, rsync://…, ssh://… nor /a/folder")
    found = {"user": "", "host": "", "port": None} | match.groupdict()
    user, host = found["user"] or "", (found["host"] or "").strip("[]")
    port = int(found["port"] or {"daemon": 873, "ssh": 22, "local": 0}[kind])
    if kind != "local" and (not egress.is_host(host) or not 0 < port < 65536):
        raise refused(attribute, "has no host or a port that cannot be")
    if user and not _USER.fullmatch(user):
        raise refused(attribute, "has a user name that cannot be")
    path = match["path"]
    if path.startswith("-") or ".." in path.split("/"):
        raise refused(attribute, "must not begin with a dash, and must not hold '..'")
    return Destination(kind, user, host, port, path.rstrip("/") or ("/" if path else ""))


def rsync_options(attribute: str, value: object) -> dict[str, object]:
    """Those of ALLOWED; any other is refused, whatever it is."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refused(attribute, "must be an object", "type_mismatch")
    for name, given in value.items():
        if name not in ALLOWED:
            raise refused(f"{attribute}.{name[:40]}", f"is none of {', '.join(ALLOWED)}", "attribute_not_accepted")
        if type(given) is not ALLOWED[name][0]:
            raise refused(f"{attribute}.{name}", f"must be of type {ALLOWED[name][0].__name__}", "type_mismatch")
        if type(given) is int and not 0 < given < 1 << 40:
            raise refused(f"{attribute}.{name}", "is out of range")
    return dict(value)


def batches(shipment: Shipment, progress: Progress) -> Iterator[tuple[Path, int, int]]:
    """(spool folder, files, bytes) until all items were in one; each is gone when the next is asked for."""
    items = shipment.items()
    more = True
    while more:
        with _spool() as spool:
            files = size = 0
            more = False
            for item in items:
                more = True
                _put(spool, item, progress)
                files, size = files + (not item.name.endswith("/")), size + item.length
                if files >= BATCH_FILES or size >= BATCH_BYTES:
                    break
            else:
                more = False
            yield spool, files, size


def _put(spool: Path, item: Item, progress: Progress) -> None:
    path = spool / safe_name(item.name.rstrip("/"))
    if item.name.endswith("/"):
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if item.file:
        path.symlink_to(item.file)  # rsync follows it: no copy
        progress.tick(item.length)
        return
    with path.open("xb", buffering=0) as file:
        for chunk in whole(item, progress):
            file.write(chunk)
    if item.mtime:
        os.utime(path, ns=(item.mtime * 1000, item.mtime * 1000))


def _outline(spool: Path, shipment: Shipment, progress: Progress) -> None:
    """The names of all items, as empty files: what rsync needs to know what is too much on the other side."""
    for item in shipment.items():
        path = spool / safe_name(item.name.rstrip("/"))
        (path if item.name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not item.name.endswith("/"):
            path.touch()
        progress.tick(0)


@contextlib.contextmanager
def _spool() -> Iterator[Path]:
    root = Path(settings.EXPORTS_STORE) / "spool"
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rsync-", dir=root) as folder:
        yield Path(folder)


def _options(target: Target) -> Mapping[str, object]:
    found = target.options.get("options")
    return found if isinstance(found, dict) else {}


def _wanted(target: Target) -> list[str]:
    """`delete` is not among them: a batch does not know what the others hold."""
    asked = {name: value for name, value in _options(target).items() if value and name != "delete"}
    return [ALLOWED[name][1].format(value) for name, value in asked.items()]


CARRIER = RsyncCarrier()
