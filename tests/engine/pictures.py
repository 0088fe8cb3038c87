"""Pictures for tests: a gradient whose corners tell which way it is turned."""

import io
from pathlib import Path
from typing import Any

from PIL import Image

from exports.engine.images.recipe import Recipe
from exports.engine.images.studio import Studio

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
#: Left upper, right upper, left lower, right lower.
CORNERS = (RED, GREEN, BLUE, WHITE)


def quarters(width: int = 80, height: int = 60, mode: str = "RGB") -> Image.Image:
    """Four fields of `CORNERS`."""
    picture = Image.new("RGB", (2, 2))
    picture.putdata(CORNERS)
    return picture.resize((width, height), Image.Resampling.NEAREST).convert(mode)


def corners(picture: Image.Image) -> tuple[tuple[int, ...], ...]:
    """The colours near the corners, rounded to what JPEG leaves of them."""
    picture = picture.convert("RGB")
    right, lower = picture.width - 3, picture.height - 3
    found = (picture.getpixel(at) for at in ((2, 2), (right, 2), (2, lower), (right, lower)))
    return tuple(tuple(255 if part > 200 else 0 if part < 60 else part for part in pixel) for pixel in found)


def encoded(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def exif(**values: Any) -> Image.Exif:
    """Author, camera, place and, with `orientation`, a turn."""
    made = Image.Exif()
    made[0x013B], made[0x8298], made[0x0110] = "Ada", "(c) Ada", "Camera 3000"
    if "orientation" in values:
        made[0x0112] = values["orientation"]
    made.get_ifd(0x8769).update({0x9003: "2024:05:06 07:08:09", 0xA431: "SERIAL-4711"})
    made.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    return made


class Made(Exception):
    """Why nothing was made."""


def make(studio: Studio, folder: Path, data: bytes, recipe: Recipe, watermark: bytes = b"") -> bytes:
    source, target, mark = folder / "source", folder / "target", folder / "mark"
    source.write_bytes(data)
    mark.write_bytes(watermark)
    told = studio.paint(str(source), str(target), recipe, watermark=str(mark) if watermark else "")
    if "reason" in told:
        raise Made(told["reason"])
    return target.read_bytes()
