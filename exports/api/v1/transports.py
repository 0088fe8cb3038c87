"""`_transports` and `_schedules` as they arrive (`spec/v1.md §9, §10`)."""

from cells.validators import time_zones
from exports.api.v1 import checks
from exports.registry import TRANSPORTS
from exports.services.exports import TransportSpec
from exports.transports.base import secrets_taken
from exports.transports.email import check_recipients

#: Spelling on the wire -> the packer's name, None for single files (§9.2).
PACKERS: dict[str, str | None] = {
    "folder": None,
    "zip": "zip",
    "zip_10mb": "zip_10mb",
    "zip_2gb": "zip_2gb",
    "tar": "tar",
    "tar_gz": "tar_gz",
    "tar.gz": "tar_gz",
    "tar_bz2": "tar_bz2",
    "tar.bz2": "tar_bz2",
}
MOST_TRANSPORTS = 100
MOST_SCHEDULES = 100
#: What fylr calls our types (§9.1).
PLUGINS = {
    "": "download",
    "easydb-export-transport-ftp-plugin:transport_ftp": "ftp",
    "easydb-export-transport-ftp-plugin:transport_webdav": "webdav",
}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAYS = frozenset(_DAYS) | frozenset(day[:3] for day in _DAYS)
#: Key (table spelling) -> (alias of C12, least, most).
_NUMBERS = {"days_of_month": ("day_of_month", 1, 31), "hours": ("hour", 0, 23), "minutes": ("minute", 0, 59)}


def transports(attribute: str, value: object) -> list[TransportSpec]:
    given = checks.array(attribute, value)
    if len(given) > MOST_TRANSPORTS:
        raise checks.invalid_value(attribute, f"has more than {MOST_TRANSPORTS} transports")
    return [_transport(f"{attribute}[{index}]", item) for index, item in enumerate(given)]


def _transport(attribute: str, value: object) -> TransportSpec:
    given = checks.mapping(attribute, value)
    kind = _kind(attribute, given)
    packer = given.get("packer")
    if packer is not None:
        packer = PACKERS[checks.one_of(f"{attribute}.packer", packer, PACKERS)]
    options = checks.mapping(f"{attribute}.options", {} if given.get("options") is None else given["options"])
    if packer is None and options.get("packer") is not None:  # §9.6 has it among the options
        packer = PACKERS[checks.one_of(f"{attribute}.options.packer", options["packer"], PACKERS)]
    carrier = TRANSPORTS.load(kind).CARRIER
    rest, secrets = secrets_taken(f"{attribute}.options", options, carrier.secrets)
    email = _email(f"{attribute}.email", given.get("email"))
    if kind == "email" and not (email and email["recipients"]):
        raise checks.attribute_expected(f"{attribute}.email.recipients")
    return TransportSpec(
        type=kind, packer=packer, options=carrier.check(f"{attribute}.options", rest), email=email, secrets=secrets
    )


def _kind(attribute: str, given: dict[str, object]) -> str:
    """fylr says `plugin` instead of `type`, with "" for download (§9.1)."""
    if "type" not in given and "plugin" not in given:
        raise checks.attribute_expected(f"{attribute}.type")
    key = "type" if "type" in given else "plugin"
    kind = checks.string(f"{attribute}.{key}", given[key])
    kind = PLUGINS.get(kind, kind) if key == "plugin" else kind
    if kind not in TRANSPORTS:
        available = ", ".join(TRANSPORTS.names())
        raise checks.invalid_value(
            f"{attribute}.{key}", f"{kind[:80]!r} is not available in this version, which has: {available}"
        )
    return kind


def _email(attribute: str, value: object) -> dict[str, object] | None:
    if value is None:
        return None
    email = checks.mapping(attribute, value)
    recipients = check_recipients(f"{attribute}.recipients", email.get("recipients") or [])
    message = "" if email.get("message") is None else checks.string(f"{attribute}.message", email["message"])
    return {"recipients": recipients, "message": message}


def schedules(attribute: str, value: object) -> list[dict[str, object]]:
    """Null and [] unschedule. Keys come out in the spelling of the table (§10, C12), weekdays as they were sent."""
    given = checks.array(attribute, [] if value is None else value)
    if len(given) > MOST_SCHEDULES:
        raise checks.invalid_value(attribute, f"has more than {MOST_SCHEDULES} schedules")
    return [_schedule(f"{attribute}[{index}]", item) for index, item in enumerate(given)]


def _schedule(attribute: str, value: object) -> dict[str, object]:
    given = checks.mapping(attribute, value)
    result: dict[str, object] = {}
    if given.get("weekdays") is not None:
        result["weekdays"] = checks.strings(f"{attribute}.weekdays", given["weekdays"])
        for day in checks.strings(f"{attribute}.weekdays", given["weekdays"]):
            if day.lower() not in _WEEKDAYS:
                raise checks.invalid_value(f"{attribute}.weekdays", f"{day[:80]!r} is no weekday")
    for key, (alias, least, most) in _NUMBERS.items():
        numbers = given.get(key) if given.get(key) is not None else given.get(alias)
        if numbers is not None:
            where = f"{attribute}.{key}"
            result[key] = [
                checks.integer(where, number, least=least, most=most) for number in checks.array(where, numbers)
            ]
    if given.get("timezone") is not None:
        zone = checks.string(f"{attribute}.timezone", given["timezone"])
        if zone not in time_zones():
            raise checks.invalid_value(f"{attribute}.timezone", f"{zone[:80]!r} is no time zone")
        result["timezone"] = zone
    return result
