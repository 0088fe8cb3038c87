"""What layouts ask for when a file shall go out as another picture."""

from typing import NamedTuple, Protocol

from exports.engine.images.recipe import Recipe


class Picture(NamedTuple):
    """A picture that the blob store holds; the fields are those of `Entry`."""

    sha256: str
    size: int
    crc32: int
    encoding: str
    stored_size: int
    stored_crc32: int
    #: Of its format, without a dot.
    extension: str


class Pictures(Protocol):
    def made(self, sha256: str, recipe: Recipe) -> Picture | str:
        """What `recipe` makes of the content `sha256`, or a sentence why there is nothing."""
        ...

    def measured(self, sha256: str) -> dict[str, int]:
        """Its `width` and `height` as people see it; {} of what is no picture."""
        ...
