"""Content types by file name, the same on every machine: what the system's own tables say is not asked."""

import mimetypes
import re

_TYPES = mimetypes.MimeTypes()
_TYPES.types_map = tuple(dict(table) for table in (mimetypes._common_types_default, mimetypes._types_map_default))
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}

#: Classes of files as v1 has them, by regular expressions of their media types; everything else is "other".
CLASSES = {
    "image": "^image/",
    "audio": "^audio/",
    "video": "^video/",
    "office": "^(application/(pdf|rtf|msword|vnd[.](ms-(excel|powerpoint)|openxmlformats-officedocument[.]"
    "|oasis[.]opendocument[.]))|text/(plain|csv|rtf)$)",
}


def media_type_of(path: str) -> str:
    guess, compression = _TYPES.guess_type(path.rpartition("/")[2])
    if compression:
        return _COMPRESSED.get(compression, "application/octet-stream")
    return guess or "application/octet-stream"


def class_of(content_type: str) -> str:
    """image, audio, video, office or other."""
    return next((name for name, pattern in CLASSES.items() if re.search(pattern, content_type)), "other")
