"""The archive formats by name. To add one: a module here that passes `tests/engine/test_formats.py`, and a line."""

from exports.engine.formats.base import Format
from exports.engine.formats.bzip2 import TarBz2
from exports.engine.formats.gzip import TarGz
from exports.engine.formats.tar import Tar
from exports.engine.formats.zip64 import Zip64

FORMATS: dict[str, Format] = {each.name: each for each in (Zip64(), Tar(), TarGz(), TarBz2())}

__all__ = ["FORMATS", "Format"]
