"""Content types by file name, the same on every machine: what the system's own tables say is not asked."""

import mimetypes

_TYPES = mimetypes.MimeTypes()
_TYPES.types_map = tuple(dict(table) for table in (mimetypes._common_types_default, mimetypes._types_map_default))
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}


def media_type_of(path: str) -> str:
    guess, compression = _TYPES.guess_type(path.rpartition("/")[2])
    if compression:
        return _COMPRESSED.get(compression, "application/octet-stream")
    return guess or "application/octet-stream"
