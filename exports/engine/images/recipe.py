"""What is to be made of a picture (`spec/v1.md §8.2`): the `custom` of a version attribute in its one form."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

QUALITIES = {"small": 50, "low": 50, "medium": 75, "high": 85, "maximum": 100}
#: Changes when the same recipe would give other bytes: pictures made before are not used any more.
EDITION = 1
#: Asked for, and the server has none any more: better no picture than one without its mark.
NO_WATERMARK = "none"


class Size(NamedTuple):
    """`kind` is one of `custom_size`; `second` counts for cover and contain only. Pixels."""

    kind: str
    first: int
    second: int = 0


class Cut(NamedTuple):
    """Pixels of the upright picture, from its left upper corner."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Recipe:
    #: keep, jpeg, tiff, png, bmp or webp.
    format: str = "keep"
    quality: int = QUALITIES["high"]
    #: keep, rgb, cmyk or gray.
    colorspace: str = "keep"
    size: Size | None = None
    dpi: int | None = None
    #: Clockwise: 0, 90, 180 or 270.
    rotate: int = 0
    #: "", horizontal or vertical; after the turn.
    mirror: str = ""
    #: After turn and mirror.
    crop: Cut | None = None
    #: SHA-256 of the watermark's file, "" without.
    watermark: str = ""
    #: standard, keep or remove.
    metadata: str = "standard"
    #: Nothing but taking metadata out, without a change of any pixel.
    strip: bool = False

    @classmethod
    def of(cls, custom: dict[str, Any], *, metadata: str = "standard", watermark: str = "") -> Self:
        """`custom` as the dialect has checked it; `watermark` counts only where it asks for one."""
        transform = custom.get("transform") or {}
        crop = transform.get("crop")
        return cls(
            format=custom.get("format", "keep"),
            quality=_quality(custom.get("quality", custom.get("jpeg_quality", "high"))),
            colorspace=custom.get("colorspace", "keep"),
            size=_size(custom),
            dpi=custom.get("dpi"),
            rotate=transform.get("rotate", 0),
            mirror=transform.get("mirror", ""),
            crop=crop and Cut(crop["left"], crop["top"], crop["width"], crop["height"]),
            watermark=(watermark or NO_WATERMARK) if custom.get("watermark") else "",
            metadata=metadata,
        )

    @classmethod
    def read(cls, text: str) -> Self:
        told = json.loads(text)
        told["size"] = told["size"] and Size(*told["size"])
        told["crop"] = told["crop"] and Cut(*told["crop"])
        return cls(**told)

    def text(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    def digest(self) -> str:
        """Names what this recipe makes of any one picture."""
        return hashlib.sha256(f"{EDITION} {self.text()}".encode()).hexdigest()


def _quality(given: str) -> int:
    return QUALITIES.get(given) or int(given)


def _size(custom: dict[str, Any]) -> Size | None:
    kind = custom.get("custom_size")
    if kind is None or custom.get("size") == "keep":
        return None
    if kind in ("cover", "contain"):
        return Size(kind, custom["custom_width_pixel"], custom["custom_height_pixel"])
    return Size(kind, custom["custom_size_pixel"])


def scaled(width: int, height: int, size: Size) -> tuple[int, int]:
    """What `size` makes of width × height, each rounded: 800×600 is 400×300 with `dimension_max` 400, and 533×400 with
    `dimension_min` 400 (§8.2). Never more than there was: enlarging adds bytes and nothing to see."""
    if size.kind == "cover":
        width, height = covering(width, height, size)
        return (size.first, size.second) if width > size.first else (width, height)
    part, whole = {
        "dimension_max": (size.first, max(width, height)),
        "dimension_min": (size.first, min(width, height)),
        "width": (size.first, width),
        "height": (size.first, height),
        "contain": min((size.first, width), (size.second, height), key=lambda pair: pair[0] / pair[1]),
    }[size.kind]
    if part >= whole:
        return width, height
    return _part(width, part, whole), _part(height, part, whole)


def covering(width: int, height: int, size: Size) -> tuple[int, int]:
    """The largest piece of width × height that has the proportions asked for."""
    if width * size.second > height * size.first:
        return _part(height, size.first, size.second), height
    return width, _part(width, size.second, size.first)


def _part(length: int, part: int, whole: int) -> int:
    return max(1, (2 * length * part + whole) // (2 * whole))
