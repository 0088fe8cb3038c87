"""Pictures made of pictures: `spec/v1.md §8.2`, `custom`. Judged by opening what was made."""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from exports.engine.images.recipe import Cut, Recipe, Size, scaled
from exports.engine.images.studio import Studio
from tests.engine.pictures import BLUE, CORNERS, GREEN, RED, WHITE, Made, corners, encoded, exif, make, quarters


@pytest.fixture(scope="module")
def studio() -> Iterator[Studio]:
    with Studio() as studio:
        yield studio


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (Size("dimension_max", 400), (400, 300)),
        (Size("dimension_min", 400), (533, 400)),
        (Size("width", 400), (400, 300)),
        (Size("height", 400), (533, 400)),
        (Size("contain", 400, 200), (267, 200)),
        (Size("contain", 200, 400), (200, 150)),
        (Size("cover", 400, 400), (400, 400)),
        (Size("cover", 100, 400), (100, 400)),
        (Size("dimension_max", 1), (1, 1)),
        (Size("dimension_max", 5000), (800, 600)),
        (Size("contain", 5000, 5000), (800, 600)),
        (Size("cover", 5000, 5000), (600, 600)),
    ],
)
def test_800_by_600_becomes(size: Size, expected: tuple[int, int], studio: Studio, tmp_path: Path) -> None:
    """§8.2: "800×600 with `dimension_max` 400 → 400×300; `dimension_min` 400 → 533×400". Nothing is enlarged."""
    assert scaled(800, 600, size) == expected
    made = make(studio, tmp_path, encoded(quarters(800, 600), "PNG"), Recipe(size=size))
    assert opened(made).size == expected


def test_cover_takes_the_middle(studio: Studio, tmp_path: Path) -> None:
    made = make(studio, tmp_path, encoded(quarters(800, 200), "PNG"), Recipe(size=Size("cover", 50, 50)))
    assert (opened(made).size, corners(opened(made))) == ((50, 50), CORNERS)


@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF", "AVIF"])
@pytest.mark.parametrize("wanted", ["keep", "jpeg", "tiff", "png", "bmp", "webp"])
def test_every_format_becomes_every_other(source: str, wanted: str, studio: Studio, tmp_path: Path) -> None:
    """§8.2: `format` `keep|jpeg|tiff|png|bmp` (also webp)."""
    made = opened(make(studio, tmp_path, encoded(quarters(), source), Recipe(format=wanted)))
    assert made.format == {"keep": source}.get(wanted, wanted.upper())
    assert (made.size, corners(made)) == ((80, 60), CORNERS)


@pytest.mark.parametrize(("colorspace", "mode"), [("rgb", "RGB"), ("cmyk", "CMYK"), ("gray", "L")])
@pytest.mark.parametrize("source", ["RGB", "L", "CMYK", "P", "RGBA", "LA", "1"])
def test_colour_spaces(colorspace: str, mode: str, source: str, studio: Studio, tmp_path: Path) -> None:
    """§8.2: `colorspace` `keep|rgb|cmyk|gray`."""
    kind = "TIFF" if source == "CMYK" else "PNG"
    data = encoded(quarters(mode=source), kind)
    assert opened(make(studio, tmp_path, data, Recipe(format="jpeg", colorspace=colorspace))).mode == mode


def test_a_png_cannot_be_cmyk(studio: Studio, tmp_path: Path) -> None:
    with pytest.raises(Made, match="PNG has no CMYK"):
        make(studio, tmp_path, encoded(quarters(), "PNG"), Recipe(colorspace="cmyk"))


def test_cmyk_becomes_the_colours_people_meant(studio: Studio, tmp_path: Path) -> None:
    data = encoded(quarters(mode="CMYK"), "JPEG", quality=95)
    made = opened(make(studio, tmp_path, data, Recipe(format="png")))
    assert (made.mode, corners(made)) == ("RGB", CORNERS)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("wanted", ["jpeg", "png"])
def test_a_camera_s_turn_is_carried_out(orientation: int, wanted: str, studio: Studio, tmp_path: Path) -> None:
    """A rendition that only kept the note would lie on its side wherever nobody reads it."""
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation)
    upright = quarters(80, 40)
    stored = upright if back is None else upright.transpose(Image.Transpose(back))
    data = encoded(stored, quality=95, exif=exif(orientation=orientation))
    recipe = Recipe(format=wanted, metadata="keep", size=Size("width", 40))
    made = opened(make(studio, tmp_path, data, recipe))
    assert (made.size, corners(made)) == ((40, 20), CORNERS)
    assert made.getexif().get(0x0112, 1) == 1
    assert studio.measure(str(tmp_path / "source")) == {"width": 80, "height": 40}


def test_quality(studio: Studio, tmp_path: Path) -> None:
    """§8.2: "`small`/`low` = 50, `medium` = 75, `high` = 85, `maximum` = 100, or numeric string 1..100"."""
    given = ["1", "low", "medium", "high", "maximum"]
    assert [Recipe.of({"quality": name}).quality for name in given] == [1, 50, 75, 85, 100]
    assert Recipe.of({"jpeg_quality": "small"}).quality == 50
    noise = Image.effect_noise((200, 200), 80).convert("RGB")
    for wanted in ("jpeg", "webp"):
        sizes = [
            len(make(studio, tmp_path, encoded(noise, "PNG"), Recipe.of({"format": wanted, "quality": name})))
            for name in given
        ]
        assert sizes == sorted(sizes) and len(set(sizes)) == len(sizes)


def test_dpi(studio: Studio, tmp_path: Path) -> None:
    for wanted in ("jpeg", "png", "tiff", "bmp"):
        made = opened(make(studio, tmp_path, encoded(quarters(), dpi=(72, 72)), Recipe(format=wanted, dpi=300)))
        assert [round(part) for part in made.info["dpi"]] == [300, 300]


def test_transform_turns_mirrors_and_cuts(studio: Studio, tmp_path: Path) -> None:
    """§8.2: `transform`; our shape of it: `rotate` clockwise, then `mirror`, then `crop`."""
    data = encoded(quarters(80, 40), "PNG")
    turned = opened(make(studio, tmp_path, data, Recipe(rotate=90)))
    assert (turned.size, corners(turned)) == ((40, 80), (BLUE, RED, WHITE, GREEN))
    mirrored = opened(make(studio, tmp_path, data, Recipe(mirror="horizontal")))
    assert corners(mirrored) == (GREEN, RED, WHITE, BLUE)
    cut = opened(make(studio, tmp_path, data, Recipe(crop=Cut(0, 20, 40, 1000))))
    assert (cut.size, set(corners(cut))) == ((40, 20), {BLUE})
    with pytest.raises(Made, match="the crop lies outside its 80 × 40 pixels"):
        make(studio, tmp_path, data, Recipe(crop=Cut(80, 0, 5, 5)))


def test_a_watermark_lies_in_the_right_lower_corner(studio: Studio, tmp_path: Path) -> None:
    mark = encoded(Image.new("RGBA", (500, 500), (255, 0, 255, 255)), "PNG")
    for mode, kind in (("RGB", "JPEG"), ("RGBA", "PNG"), ("L", "PNG"), ("CMYK", "TIFF")):
        data = encoded(Image.new("RGB", (300, 300), "white").convert(mode), kind)
        made = opened(make(studio, tmp_path, data, Recipe(watermark="digest"), mark)).convert("RGB")
        light = {at: min(made.getpixel((at, at))) > 200 for at in (100, 185, 202, 240, 287, 297)}
        assert light == {100: True, 185: True, 202: False, 240: False, 287: False, 297: True}


def test_16_bits_of_gray_stay_or_become_8_without_burning_out(studio: Studio, tmp_path: Path) -> None:
    deep = Image.new("I;16", (64, 64))
    for x in range(64):
        for y in range(64):
            deep.putpixel((x, y), x * 1024)
    data = encoded(deep, "PNG")
    kept = opened(make(studio, tmp_path, data, Recipe(format="tiff")))
    assert (kept.mode, kept.getpixel((32, 5))) == ("I;16", 32768)
    flat = opened(make(studio, tmp_path, data, Recipe(format="bmp")))
    assert abs(flat.convert("L").getpixel((32, 5)) - 128) <= 1


def test_what_was_transparent_is_white_where_there_is_no_transparency(studio: Studio, tmp_path: Path) -> None:
    data = encoded(Image.new("RGBA", (20, 20), (0, 0, 0, 0)), "PNG")
    assert set(corners(opened(make(studio, tmp_path, data, Recipe(format="jpeg"))))) == {WHITE}
    assert opened(make(studio, tmp_path, data, Recipe(format="webp"))).getpixel((5, 5))[3] == 0


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_what_moves_keeps_moving_in_its_own_format(kind: str, studio: Studio, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in (RED, GREEN, BLUE)]
    timed = {} if kind == "TIFF" else {"duration": [100, 200, 300]}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **timed)
    made = opened(make(studio, tmp_path, data, Recipe(size=Size("width", 20))))
    assert made.n_frames == 3
    for number, colour in enumerate((RED, GREEN, BLUE)):
        made.seek(number)
        assert (made.size, set(corners(made))) == ((20, 20), {colour})
    still = opened(make(studio, tmp_path, data, Recipe(format="jpeg")))
    assert set(corners(still)) == {RED}


@pytest.mark.parametrize("wanted", ["jpeg", "png", "webp", "tiff"])
def test_metadata(wanted: str, studio: Studio, tmp_path: Path) -> None:
    """§8.2: `metadata` `standard` (default) | `keep` | `remove`. Standard says who and when, not where nor with what.
    A TIFF takes the texts of the first directory alone."""
    data = encoded(quarters(), exif=exif(), xmp=b"<x:xmpmeta>secret place</x:xmpmeta>")
    kept, standard, removed = (
        make(studio, tmp_path, data, Recipe(format=wanted, metadata=way)) for way in ("keep", "standard", "remove")
    )
    found = opened(kept).getexif()
    assert (found[0x013B], found[0x0110]) == ("Ada", "Camera 3000")
    if wanted != "tiff":
        assert found.get_ifd(0x8769)[0xA431] == "SERIAL-4711"
        assert found.get_ifd(0x8825)[1] == "N"
    found = opened(standard).getexif()
    assert (found[0x013B], found[0x8298]) == ("Ada", "(c) Ada")
    assert wanted == "tiff" or found.get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"
    assert 0x0110 not in found and not found.get_ifd(0x8825)
    for data in (standard, removed):
        assert b"SERIAL" not in data and b"secret place" not in data
    assert b"Ada" not in removed


def test_a_tiff_written_as_a_tiff_keeps_no_metadata_either(studio: Studio, tmp_path: Path) -> None:
    info = {700: b"<x:xmpmeta>secret place</x:xmpmeta>", 0x0110: "SERIAL"}
    data = encoded(quarters(), "TIFF", tiffinfo=info)
    assert b"secret place" in data and b"SERIAL" in data
    made = make(studio, tmp_path, data, Recipe(metadata="remove"))
    assert b"secret place" not in made and b"SERIAL" not in made


def test_a_colour_profile_is_no_metadata(studio: Studio, tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(quarters(), icc_profile=profile)
    assert opened(make(studio, tmp_path, data, Recipe(metadata="remove"))).info["icc_profile"] == profile
    gray = opened(make(studio, tmp_path, data, Recipe(colorspace="gray")))
    assert "icc_profile" not in gray.info


SEGMENTS = ((b"\xff\xfe", b"SERIAL"), (b"\xff\xed", b"Photoshop 3.0\0 SERIAL"))


def with_png_text(data: bytes) -> bytes:
    text = b"Author\0Ada SERIAL"
    chunk = struct.pack(">I", len(text)) + b"tEXt" + text + struct.pack(">I", zlib.crc32(b"tEXt" + text))
    return data[:33] + chunk + data[33:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_metadata_is_cut_out_without_touching_a_pixel(
    kind: str, orientation: int, studio: Studio, tmp_path: Path
) -> None:
    data = encoded(
        quarters(), kind, exif=exif(orientation=orientation), **({"progressive": True} if kind == "JPEG" else {})
    )
    if kind == "PNG":
        data = with_png_text(data)
    if kind == "JPEG":
        comment, iptc = (marker + struct.pack(">H", len(text) + 2) + text for marker, text in SEGMENTS)
        data = data[:2] + comment + iptc + data[2:] + b"behind the end: SERIAL"
    assert b"SERIAL" in data and b"Ada" in data
    made = make(studio, tmp_path, data, Recipe(strip=True))
    assert b"SERIAL" not in made and b"Ada" not in made
    assert opened(made).tobytes() == opened(data).tobytes()
    assert opened(made).getexif().get(0x0112, 1) == orientation
    assert not opened(made).getexif().get_ifd(0x8825)


def test_where_metadata_cannot_be_cut_out_nothing_is_made(studio: Studio, tmp_path: Path) -> None:
    with pytest.raises(Made, match="metadata cannot be taken out of a TIFF without changing it"):
        make(studio, tmp_path, encoded(quarters(), "TIFF"), Recipe(strip=True))
    assert (tmp_path / "target").read_bytes() == b""


def test_the_same_picture_and_recipe_give_the_same_bytes(tmp_path: Path) -> None:
    data = encoded(quarters(300, 200), exif=exif(orientation=6))
    for wanted in ("jpeg", "png", "tiff", "webp", "bmp"):
        recipe = Recipe(format=wanted, size=Size("width", 100), metadata="keep")
        made = set()
        for _ in range(2):
            with Studio() as studio:
                made.add(make(studio, tmp_path, data, recipe))
        assert len(made) == 1


def test_recipes_survive_their_text() -> None:
    custom = {
        "format": "tiff",
        "custom_size": "cover",
        "custom_width_pixel": 3,
        "custom_height_pixel": 4,
        "transform": {"rotate": 90, "crop": {"left": 1, "top": 2, "width": 3, "height": 4}},
    }
    recipe = Recipe.of(custom, metadata="keep")
    assert recipe == Recipe(format="tiff", size=Size("cover", 3, 4), rotate=90, crop=Cut(1, 2, 3, 4), metadata="keep")
    assert Recipe.read(recipe.text()) == recipe
    assert recipe.digest() != Recipe.of(custom).digest()
    assert Recipe.of({"size": "keep", "custom_size": "width", "custom_size_pixel": 3}).size is None
