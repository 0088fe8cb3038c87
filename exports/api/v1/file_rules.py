"""Which files go out and in which renditions: `eas_fields`, `classes`, `assets` (`spec/v1.md §4.3, §8.2`)."""

from django.conf import settings

from exports.api.v1 import checks

CLASSES = ("image", "audio", "video", "office", "other")
_VERSION_TYPES = ("original", "current", "version", "custom")
_LINK_TYPES = ("original", "current", "version")
_METADATA = ("standard", "keep", "remove")
_CUSTOM_CHOICES = {
    "format": ("keep", "jpeg", "tiff", "png", "bmp", "webp"),
    "colorspace": ("keep", "rgb", "cmyk", "gray"),
    "size": ("keep", "custom"),
    "custom_size": ("dimension_max", "dimension_min", "width", "height", "cover", "contain"),
}
_QUALITIES = ("small", "low", "medium", "high", "maximum")
_PIXELS = ("custom_size_pixel", "custom_width_pixel", "custom_height_pixel", "dpi")
#: What no picture has more of; WebP ends at 16,383.
_MOST_PIXELS = 65_535
_WITHOUT_CMYK = ("png", "bmp", "webp")
_CUT = ("left", "top", "width", "height")


def eas_fields(attribute: str, value: object) -> dict[str, object]:
    """A list of fields is the legacy spelling of "the files of each" (§4.3)."""
    if isinstance(value, list):
        return {field: {"files": True} for field in checks.strings(attribute, value)}
    return {field: _eas_field(f"{attribute}.{field}", rule) for field, rule in checks.mapping(attribute, value).items()}


def _eas_field(attribute: str, value: object) -> dict[str, object]:
    rule = checks.mapping(attribute, value)
    for key in ("files", "include_non_preferred"):
        if key in rule:
            checks.boolean(f"{attribute}.{key}", rule[key])
    for index, link in enumerate(checks.array(f"{attribute}.data", rule.get("data", []))):
        _link(f"{attribute}.data[{index}]", link)
    return rule


def _link(attribute: str, value: object) -> None:
    link = checks.mapping(attribute, value)
    if "type" not in link:
        raise checks.attribute_expected(f"{attribute}.type")
    if checks.one_of(f"{attribute}.type", link["type"], _LINK_TYPES) == "version":
        if "version" not in link:
            raise checks.attribute_expected(f"{attribute}.version")
        checks.string(f"{attribute}.version", link["version"])
    if "format" in link:
        checks.one_of(f"{attribute}.format", link["format"], ("long", "short"))


def classes(attribute: str, value: object) -> dict[str, object]:
    """class -> list of version attributes; the legacy object form is `_legacy_versions` (§4.3)."""
    given = checks.mapping(attribute, value)
    for name in given:
        if name not in CLASSES:
            raise checks.invalid_value(f"{attribute}.{name}"[:200], f"is none of {', '.join(CLASSES)}")
    return {name: _class_versions(f"{attribute}.{name}", name, versions) for name, versions in given.items()}


def _class_versions(attribute: str, class_name: str, value: object) -> list[object]:
    versions = _legacy_versions(value) if isinstance(value, dict) and "version" in value else value
    result = checks.array(attribute, versions)
    for index, version in enumerate(result):
        where = f"{attribute}[{index}]"
        _version(where, version, class_name)
        custom = version.get("custom") if isinstance(version, dict) else None
        if isinstance(custom, dict) and "transform" in custom:
            raise checks.attribute_not_accepted(f"{where}.custom.transform", "belongs to export.assets only")
    return result


def _legacy_versions(value: dict[str, object]) -> object:
    name = value["version"]
    if name == "custom":
        return [{"type": "custom", "custom": {key: item for key, item in value.items() if key != "version"}}]
    return [{"type": part} for part in name.split("+")] if isinstance(name, str) else name


def assets(attribute: str, value: object) -> dict[str, object]:
    """asset id (a string of digits) -> true, false, or an object with `versions` (§4.2)."""
    result: dict[str, object] = {}
    for key, rule in checks.mapping(attribute, value).items():
        if not (key.isascii() and key.isdigit()):
            raise checks.invalid_value(f"{attribute}.{key}"[:200], "is not the id of an asset")
        result[key] = rule if isinstance(rule, bool) else _asset(f"{attribute}.{key}", rule)
    return result


def _asset(attribute: str, value: object) -> dict[str, object]:
    rule = checks.mapping(attribute, value)
    if "version" in rule and "versions" not in rule:
        rule = {"versions": _legacy_versions(rule)}
    for index, version in enumerate(checks.array(f"{attribute}.versions", rule.get("versions", []))):
        _version(f"{attribute}.versions[{index}]", version, None)
    if "eas_parent_id" in rule:
        checks.integer(f"{attribute}.eas_parent_id", rule["eas_parent_id"], least=1)
    if "json" in rule:
        checks.boolean(f"{attribute}.json", rule["json"])
    return rule


def _version(attribute: str, value: object, class_name: str | None) -> None:
    """`class_name` is None for an asset: its class is known at the run only."""
    version = checks.mapping(attribute, value)
    if "type" not in version:
        raise checks.attribute_expected(f"{attribute}.type")
    kind = checks.one_of(f"{attribute}.type", version["type"], _VERSION_TYPES)
    if kind == "version":
        if "version" not in version:
            raise checks.attribute_expected(f"{attribute}.version")
        checks.string(f"{attribute}.version", version["version"])
    if kind == "custom":
        _custom_version(attribute, version, class_name)
    if "metadata" in version:
        _metadata(f"{attribute}.metadata", version["metadata"], class_name)


def _custom_version(attribute: str, version: dict[str, object], class_name: str | None) -> None:
    if class_name not in (None, "image"):
        raise checks.invalid_value(f"{attribute}.type", "custom is for images only")
    if ("custom" in version) == ("custom_version_preset" in version):
        raise checks.attribute_expected(f"{attribute}.custom", "exactly one of custom and custom_version_preset")
    if "custom_version_preset" in version:
        raise checks.invalid_value(f"{attribute}.custom_version_preset", "names a preset, and there are none")
    _custom(f"{attribute}.custom", version["custom"])


def _custom(attribute: str, value: object) -> None:
    custom = checks.mapping(attribute, value)
    for key, allowed in _CUSTOM_CHOICES.items():
        if key in custom:
            checks.one_of(f"{attribute}.{key}", custom[key], allowed)
    for key in ("jpeg_quality", "quality"):
        if key in custom and not _percent(checks.string(f"{attribute}.{key}", custom[key])):
            checks.one_of(f"{attribute}.{key}", custom[key], _QUALITIES)
    for key in _PIXELS:
        if key in custom:
            checks.integer(f"{attribute}.{key}", custom[key], least=1, most=_MOST_PIXELS)
    _size(attribute, custom)
    if custom.get("colorspace") == "cmyk" and custom.get("format") in _WITHOUT_CMYK:
        raise checks.invalid_value(f"{attribute}.colorspace", f"cmyk cannot be in {custom['format']}")
    if checks.boolean(f"{attribute}.watermark", custom.get("watermark", False)) and not settings.WATERMARK_FILE:
        raise checks.invalid_value(f"{attribute}.watermark", "is not available: this server has no WATERMARK_FILE")
    if custom.get("colorprofile") is not None:
        raise checks.invalid_value(f"{attribute}.colorprofile", "names a colour profile, and there are none")
    if custom.get("transform") is not None:
        _transform(f"{attribute}.transform", custom["transform"])


def _size(attribute: str, custom: dict[str, object]) -> None:
    """A size needs the numbers that make it."""
    kind = custom.get("custom_size")
    if custom.get("size") == "keep" or (kind is None and custom.get("size") is None):
        return
    if kind is None:
        raise checks.attribute_expected(f"{attribute}.custom_size")
    box = ("custom_width_pixel", "custom_height_pixel")
    for key in box if kind in ("cover", "contain") else ("custom_size_pixel",):
        if key not in custom:
            raise checks.attribute_expected(f"{attribute}.{key}")


def _transform(attribute: str, value: object) -> None:
    """Our shape, as none is told: turned clockwise, then mirrored, then cut. {} changes nothing."""
    transform = checks.mapping(attribute, value)
    for key in transform:
        if key not in ("rotate", "mirror", "crop"):
            raise checks.invalid_value(f"{attribute}.{key}"[:200], "is none of rotate, mirror, crop")
    turn = checks.integer(f"{attribute}.rotate", transform.get("rotate", 0), least=0)
    if turn not in (0, 90, 180, 270):
        raise checks.invalid_value(f"{attribute}.rotate", "is none of 0, 90, 180, 270")
    if "mirror" in transform:
        checks.one_of(f"{attribute}.mirror", transform["mirror"], ("horizontal", "vertical"))
    if "crop" in transform:
        cut = checks.mapping(f"{attribute}.crop", transform["crop"])
        for key in _CUT:
            if key not in cut:
                raise checks.attribute_expected(f"{attribute}.crop.{key}")
            least = 0 if key in ("left", "top") else 1
            checks.integer(f"{attribute}.crop.{key}", cut[key], least=least, most=_MOST_PIXELS)


def _percent(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= 100


def _metadata(attribute: str, value: object, class_name: str | None) -> None:
    if class_name not in (None, "image", "audio", "video"):
        raise checks.invalid_value(attribute, "is for images, audio and video only")
    if isinstance(value, str):
        checks.one_of(attribute, value, _METADATA)
        if value == "remove" and class_name in ("audio", "video"):
            raise checks.invalid_value(attribute, "remove is available for images only")
    else:
        number = checks.integer(attribute, value, least=1)
        raise checks.invalid_value(attribute, f"there is no metadata profile {number}")
