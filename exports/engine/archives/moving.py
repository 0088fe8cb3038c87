"""What an archive of the move API brings along only when the cell moves (`spec/move.md §6.8`, "extra in a move")."""

from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

SHARINGS, SHARED = "io.cozy.sharings", "io.cozy.shared"
#: Codes of links (`io.cozy.permissions`) open nothing here, and stay away in a move as well.
EXTRA = frozenset({SHARINGS, SHARED})
WORKERS = frozenset({"konnector"})
MOVED_WORKERS = WORKERS | {"share-track", "share-replicate", "share-upload"}


class Moving(NamedTuple):
    """Addresses of where the cell was, and where it is now."""

    source: str
    target: str


def sharing(told: dict[str, Any], moving: Moving) -> dict[str, Any] | None:
    """As it is kept; None of a password manager's, which is encrypted for the other server."""
    rules = told.get("rules")
    kinds = [rule.get("doctype") for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []
    if any(isinstance(kind, str) and kind.startswith("com.bitwarden.") for kind in kinds):
        return None
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    changed = told | {"initial_sync": False, "initial_number_of_files_to_sync": 0, "updated_at": now}
    members = told.get("members")
    if isinstance(members, list):
        changed["members"] = [_member(member, moving) for member in members]
    return changed


def _member(member: Any, moving: Moving) -> Any:
    """One's own tells the new address, and keeps the old one."""
    instance = member.get("instance") if isinstance(member, dict) else None
    if not isinstance(instance, str) or _host(instance) != _host(moving.source):
        return member
    return member | {"instance": moving.target, "moved_from": instance}


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""
