"""Pictures by Pillow. Runs in a process of its own (`child.py`): what is read here may be hostile."""

from io import BytesIO
from itertools import islice
from typing import Any, BinaryIO

from PIL import ExifTags, Image, ImageCms, ImageOps, ImageSequence

from exports.engine.images.recipe import Recipe, Size, covering, scaled

#: What is opened at all. EPS would call Ghostscript; the rest are formats that nobody keeps pictures in.
READ = ("JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP", "AVIF", "JPEG2000", "PSD", "PPM")
WRITE = {"jpeg": "JPEG", "tiff": "TIFF", "png": "PNG", "bmp": "BMP", "webp": "WEBP"}
EXTENSIONS = {"JPEG": "jpg", "TIFF": "tif", "PNG": "png", "BMP": "bmp", "WEBP": "webp", "GIF": "gif", "AVIF": "avif"}
#: Of all frames together; 100 million of them take 400 MB, and some steps hold two pictures.
MOST_PIXELS = 100_000_000
#: Formats that hold several pictures, and keep them when the format stays.
SEVERAL = ("GIF", "WEBP", "PNG", "TIFF")
MODES = {
    "JPEG": ("L", "RGB", "CMYK"),
    "TIFF": ("1", "L", "LA", "RGB", "RGBA", "CMYK", "I;16"),
    "PNG": ("1", "L", "LA", "RGB", "RGBA", "I;16"),
    "BMP": ("L", "RGB"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("L", "RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
#: What says who made a picture of what, and when. No place, no device.
STANDARD = (0x010E, 0x0132, 0x013B, 0x8298)
STANDARD_EXIF = (0x9003, 0x9011)
ORIENTATION, WIDTH, HEIGHT = 0x0112, 0xA002, 0xA003
_TURNS = {
    90: Image.Transpose.ROTATE_270,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
    "horizontal": Image.Transpose.FLIP_LEFT_RIGHT,
    "vertical": Image.Transpose.FLIP_TOP_BOTTOM,
}


class Unpaintable(Exception):
    """A sentence saying why there is no such picture."""


def opened(source: BinaryIO) -> Image.Image:
    """A picture whose pixels are not read yet. Raises Unpaintable for one with too many of them."""
    Image.MAX_IMAGE_PIXELS = None  # it would warn, or refuse at twice as many; all frames count, and are counted below
    try:
        picture = Image.open(source, formats=READ)
    except Image.UnidentifiedImageError as error:
        raise Unpaintable("it is no picture that can be read") from error
    _check_pixels(*picture.size)
    return picture


def _check_pixels(width: int, height: int, frames: int = 1) -> None:
    if width * height * frames > MOST_PIXELS:
        many = f"{width} × {height}" + (f" × {frames}" if frames > 1 else "")
        raise Unpaintable(f"it has {many} pixels, more than {MOST_PIXELS:,}")


def measured(picture: Image.Image) -> tuple[int, int]:
    """Width and height as people see it, from the header alone."""
    width, height = picture.size
    return (height, width) if _is_turned(picture) else (width, height)


def _is_turned(picture: Image.Image) -> bool:
    return picture.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)


def format_of(picture: Image.Image, recipe: Recipe) -> str:
    source = "JPEG" if picture.format == "MPO" else str(picture.format)
    if recipe.format != "keep":
        return WRITE[recipe.format]
    if source not in MODES:
        raise Unpaintable(f"{source} cannot be written; a format must be named")
    return source


def painted(source: BinaryIO, target: BinaryIO, recipe: Recipe, watermark: BinaryIO | None) -> str:
    """Writes what `recipe` makes of `source`; gives the extension of its format."""
    picture = opened(source)
    kind = format_of(picture, recipe)
    frames = getattr(picture, "n_frames", 1) if kind == picture.format and kind in SEVERAL else 1
    _check_pixels(*picture.size, frames)
    if recipe.size and recipe.size.kind != "cover" and not recipe.crop and frames == 1:
        side = max(scaled(*picture.size, recipe.size))
        picture.draft(None, (2 * side, 2 * side))  # JPEG can be read at a half, a quarter, an eighth
    options = _options(picture, kind, recipe)
    mark = Image.open(watermark).convert("RGBA") if watermark else None
    made = [_frame(frame, kind, recipe, mark) for frame in islice(ImageSequence.Iterator(picture), frames)]
    first = made[0]
    options |= _metadata(picture, first, kind, recipe)
    if frames > 1:
        options |= {"save_all": True, "append_images": made[1:]}
    for each in made:
        each.info.clear()  # a writer takes from here what it was not told
    first.save(target, kind, **options)
    return EXTENSIONS[kind]


def _frame(frame: Image.Image, kind: str, recipe: Recipe, mark: Image.Image | None) -> Image.Image:
    profile = frame.info.get("icc_profile")
    made = _plain(frame)
    if frame.getexif().get(ORIENTATION, 1) != 1:
        made = ImageOps.exif_transpose(made)  # even where there is nothing to turn it would make a copy
    for turn in (recipe.rotate, recipe.mirror):
        if turn:
            made = made.transpose(_TURNS[turn])
    if recipe.crop:
        made = _cropped(made, recipe)
    if recipe.size:
        made = _sized(made, recipe.size)
    if mark:
        made = _marked(made, mark)
    made = _coloured(made, kind, recipe.colorspace, profile)
    if made is frame:
        made = made.copy()  # a TIFF's own object hands its metadata to the writer
    made.info["icc_profile"] = profile if _colours(made.mode) == _colours(frame.mode) else None
    return made


def _colours(mode: str) -> str:
    return {"L": "gray", "LA": "gray", "1": "gray", "I;16": "gray", "CMYK": "cmyk"}.get(mode, "rgb")


def _plain(frame: Image.Image) -> Image.Image:
    """In a mode that one can calculate with; palettes and bits are not."""
    if frame.mode == "P":
        return frame.convert("RGBA" if "transparency" in frame.info else "RGB")
    if frame.mode in ("PA", "La", "RGBa"):
        return frame.convert("RGBA")
    if frame.mode == "1":
        return frame.convert("L")
    if frame.mode in ("I", "F"):
        return _deep(frame)
    if frame.mode.startswith("I;16") and frame.mode != "I;16":
        return frame.convert("I;16")
    if frame.mode in ("YCbCr", "LAB", "HSV", "RGBX"):
        return frame.convert("RGB")
    if "transparency" in frame.info and frame.mode in ("L", "RGB"):
        return frame.convert("LA" if frame.mode == "L" else "RGBA")
    frame.load()
    return frame


def _deep(frame: Image.Image) -> Image.Image:
    """32 bits a pixel have no agreed white: the lightest and the darkest pixel are. 16 of them have."""
    low, high = frame.getextrema()
    if frame.mode == "I" and low >= 0 and high < 1 << 16:
        return frame.convert("I;16")
    return frame.point(lambda value: value * (255 / ((high - low) or 1)) - low * 255 / ((high - low) or 1)).convert("L")


def _cropped(made: Image.Image, recipe: Recipe) -> Image.Image:
    left, top, width, height = recipe.crop or (0, 0, 0, 0)
    box = (left, top, min(left + width, made.width), min(top + height, made.height))
    if box[0] >= box[2] or box[1] >= box[3]:
        raise Unpaintable(f"the crop lies outside its {made.width} × {made.height} pixels")
    return made.crop(box)


def _sized(made: Image.Image, size: Size) -> Image.Image:
    target = scaled(*made.size, size)
    if size.kind == "cover":
        width, height = covering(*made.size, size)
        left, top = (made.width - width) // 2, (made.height - height) // 2
        made = made.crop((left, top, left + width, top + height))
    if made.size == target:
        return made
    return made.resize(target, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _marked(made: Image.Image, mark: Image.Image) -> Image.Image:
    """The watermark lies in the right lower corner, at most a third of either side, a thirtieth away from the edges."""
    made = _eight_bits(made) if made.mode == "I;16" else made
    width, height = scaled(*mark.size, Size("contain", max(made.width // 3, 1), max(made.height // 3, 1)))
    margin = min(made.size) // 30
    right, lower = made.width - margin, made.height - margin
    box = (right - width, lower - height, right, lower)
    piece = made.crop(box)
    piece = Image.alpha_composite(piece.convert("RGBA"), mark.resize((width, height), Image.Resampling.LANCZOS))
    made.paste(piece.convert(made.mode), box)
    return made


def _eight_bits(made: Image.Image) -> Image.Image:
    """`convert` alone would make white of all above 255."""
    return made.convert("I").point(lambda value: value * (1 / 257)).convert("L")


def _coloured(made: Image.Image, kind: str, colorspace: str, profile: bytes | None) -> Image.Image:
    """In a mode that the format has, of the colour space asked for."""
    wanted = {"rgb": "RGB", "cmyk": "CMYK", "gray": "L"}.get(colorspace)
    if wanted == "CMYK" and "CMYK" not in MODES[kind]:
        raise Unpaintable(f"{kind} has no CMYK")
    alpha = "A" in made.mode
    mode = made.mode
    if wanted:
        mode = {"RGB": "RGBA" if alpha else "RGB", "L": "LA" if alpha else made.mode if mode == "I;16" else "L"}.get(
            wanted, wanted
        )
    if mode not in MODES[kind]:
        mode = next(each for each in _INSTEAD[mode] if each in MODES[kind])
    return made if mode == made.mode else _converted(made, mode, profile)


#: Modes by how little is lost.
_INSTEAD = {
    "I;16": ("L", "RGB"),
    "L": ("RGB",),
    "LA": ("RGBA", "L", "RGB"),
    "RGBA": ("RGB",),
    "CMYK": ("RGB",),
}


def _converted(made: Image.Image, mode: str, profile: bytes | None) -> Image.Image:
    if made.mode == "I;16":
        return _converted(_eight_bits(made), mode, None)
    if "A" in made.mode and "A" not in mode:  # nothing was behind it: white is what paper would be
        ground = Image.new("RGB", made.size, "white")
        ground.paste(made, mask=made.getchannel("A"))
        return _converted(ground, mode, profile)
    if made.mode == "CMYK" and profile:
        made = _managed(made, profile)
    return made if made.mode == mode else made.convert(mode)


def _managed(made: Image.Image, profile: bytes) -> Image.Image:
    try:
        return ImageCms.profileToProfile(made, BytesIO(profile), SRGB, outputMode="RGB")
    except ImageCms.PyCMSError:
        return made  # a broken profile is as good as none


def _options(picture: Image.Image, kind: str, recipe: Recipe) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if kind in ("JPEG", "WEBP", "AVIF"):
        options["quality"] = recipe.quality
    if kind == "JPEG":
        options["optimize"] = True
    if kind == "TIFF":
        options["compression"] = "tiff_adobe_deflate"
    if kind in ("GIF", "WEBP", "PNG") and getattr(picture, "n_frames", 1) > 1:
        options["loop"] = picture.info.get("loop", 0)
        durations = [frame.info.get("duration", 0) for frame in ImageSequence.Iterator(picture)]
        options["duration"] = [int(duration) for duration in durations]
        picture.seek(0)
    dpi = (recipe.dpi, recipe.dpi) if recipe.dpi else picture.info.get("dpi")
    if dpi and kind in ("JPEG", "PNG", "TIFF", "BMP"):
        options["dpi"] = dpi
    return options


def _metadata(picture: Image.Image, made: Image.Image, kind: str, recipe: Recipe) -> dict[str, Any]:
    """A colour profile is no metadata: without it the colours would be others."""
    options: dict[str, Any] = {}
    if kind not in ("BMP", "GIF"):
        options["icc_profile"] = made.info.get("icc_profile")
    if recipe.metadata == "remove" or kind in ("BMP", "GIF"):
        return options
    exif = picture.getexif()
    kept = _kept(exif, recipe.metadata, made.size)
    if kind == "TIFF":  # libtiff takes no directory within the directory
        options["tiffinfo"] = {tag: kept[tag] for tag in kept if isinstance(kept[tag], str)}
        return options
    if len(kept) or kept.get_ifd(ExifTags.IFD.Exif):
        options["exif"] = kept.tobytes()
    if recipe.metadata == "keep" and kind in ("JPEG", "WEBP") and picture.info.get("xmp"):
        options["xmp"] = picture.info["xmp"]
    return options


def _kept(exif: Image.Exif, metadata: str, size: tuple[int, int]) -> Image.Exif:
    kept = Image.Exif()
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    tags = STANDARD if metadata == "standard" else [tag for tag in exif if tag in _DESCRIBING]
    for tag in tags:
        if tag in exif:
            kept[tag] = exif[tag]
    found = {tag: value for tag, value in inner.items() if metadata == "keep" or tag in STANDARD_EXIF}
    if metadata == "keep":
        found |= {tag: length for tag, length in zip((WIDTH, HEIGHT), size, strict=True) if tag in inner}
        if place := exif.get_ifd(ExifTags.IFD.GPSInfo):
            kept.get_ifd(ExifTags.IFD.GPSInfo).update(place)
    if found:
        kept.get_ifd(ExifTags.IFD.Exif).update(found)
    return kept


#: Of a TIFF the first directory says how its pixels lie, too: only these go over to another picture.
_DESCRIBING = frozenset(
    (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F)
)
