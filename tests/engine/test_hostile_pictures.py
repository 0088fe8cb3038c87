"""What pictures may do to the process that reads them, and to nobody else: `exports/engine/images/child.py`."""

import os
import signal
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from exports.engine.images.recipe import Recipe, Size
from exports.engine.images.studio import Studio
from tests.engine.pictures import Made, encoded, exif, make, quarters


@pytest.fixture(scope="module")
def studio() -> Iterator[Studio]:
    with Studio() as studio:
        yield studio


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header promises more than its bytes hold."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
HOSTILE = {
    "nothing": (b"", "it is no picture that can be read"),
    "text": (b"hello" * 1000, "it is no picture that can be read"),
    "svg": (SVG, "it is no picture that can be read"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "it is no picture that can be read"),
    "bomb": (png_of(60_000, 60_000), "it has 60000 × 60000 pixels, more than 100,000,000"),
    "half": (lambda: encoded(quarters(800, 800))[:3000], "no picture could be made of it"),
    "empty png": (png_of(500, 500), "no picture could be made of it"),
    "gif bomb": (
        lambda: encoded(
            Image.new("L", (2000, 2000)),
            "GIF",
            save_all=True,
            append_images=[Image.new("L", (2000, 2000), number % 256) for number in range(1, 30)],
        ),
        "it has 2000 × 2000 × 30 pixels, more than 100,000,000",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pictures_are_refused_with_a_reason(name: str, studio: Studio, tmp_path: Path) -> None:
    data, reason = HOSTILE[name]
    data = data() if callable(data) else data  # a bomb is not made by whoever only counts the tests
    with pytest.raises(Made, match=reason.replace("(", r"\(")):
        make(studio, tmp_path, data, Recipe())
    assert make(studio, tmp_path, encoded(quarters()), Recipe())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP"])
def test_broken_bytes_never_end_the_studio(kind: str, studio: Studio, tmp_path: Path) -> None:
    whole = encoded(
        quarters(64, 64), kind, **({"exif": exif(orientation=6)} if kind in ("JPEG", "PNG", "WEBP") else {})
    )
    for number in range(40):
        broken = bytearray(whole)
        for at in range(number % 7 + 1):
            broken[(number * 7919 + at * 104_729) % len(broken)] ^= 0xFF
        for recipe in (Recipe(format="png", size=Size("width", 9)), Recipe(strip=True)):
            try:
                make(studio, tmp_path, bytes(broken), recipe)
            except Made as error:
                assert str(error)
    assert make(studio, tmp_path, encoded(quarters()), Recipe())


def test_a_picture_that_kills_its_reader_kills_nobody_else(tmp_path: Path) -> None:
    with Studio() as studio:
        assert make(studio, tmp_path, encoded(quarters()), Recipe())
        os.kill(studio._child.pid, signal.SIGSTOP)
        ticks = iter(range(3))

        def killed_while_it_is_waited_for() -> None:
            if next(ticks) == 1:
                os.kill(studio._child.pid, signal.SIGKILL)

        studio._tick = killed_while_it_is_waited_for
        with pytest.raises(Made, match="took too long, or broke the reader"):
            make(studio, tmp_path, encoded(quarters()), Recipe())
        studio._tick = lambda: None
        assert make(studio, tmp_path, encoded(quarters()), Recipe())


def test_a_picture_gets_so_much_memory_and_so_much_time(tmp_path: Path) -> None:
    large = encoded(Image.new("RGB", (8000, 8000)), "PNG")
    with Studio(memory=300 << 20) as studio:
        with pytest.raises(Made, match="more memory than a picture may"):
            make(studio, tmp_path, large, Recipe(rotate=90))
        assert make(studio, tmp_path, encoded(quarters()), Recipe())
    with Studio(seconds=1) as studio, pytest.raises(Made, match="took too long"):
        noise = Image.effect_noise((5000, 5000), 90).convert("RGB")
        make(studio, tmp_path, encoded(noise, "BMP"), Recipe(format="webp", quality=100))


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(size=Size("width", 500)), Recipe(format="png", rotate=90)])
def test_100_million_pixels_take_less_than_the_child_may(recipe: Recipe, tmp_path: Path) -> None:
    """The worker itself holds nothing of them."""
    data = encoded(quarters(10_000, 10_000), quality=30)
    with Studio() as studio:
        assert make(studio, tmp_path, data, recipe)
        status = Path(f"/proc/{studio._child.pid}/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) >> 10
    assert peak < 1300, f"{peak} MiB"


def test_a_stop_ends_the_child(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    with Studio(stop) as studio:
        with pytest.raises(Stopped):
            make(studio, tmp_path, encoded(quarters()), Recipe())
        assert studio._child is None


def test_the_child_knows_none_of_our_secrets(tmp_path: Path) -> None:
    with Studio() as studio:
        make(studio, tmp_path, encoded(quarters()), Recipe())
        environment = Path(f"/proc/{studio._child.pid}/environ").read_bytes()
    assert b"SECRET_KEY" not in environment and b"DATABASE_URL" not in environment
