"""What can be extended: a name and where its code is. Nothing is imported before it is needed."""

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType


class Registry:
    """Names and dotted paths (`package.module`); other packages add theirs under the entry point group `group`.

    A name given twice is an error, whoever gives it: nobody can replace another's by being installed.
    """

    def __init__(self, group: str, built_in: dict[str, str]) -> None:
        self.group = group
        self._built_in = built_in
        self._paths: dict[str, str] | None = None

    def __contains__(self, name: object) -> bool:
        return name in self._all()

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def names(self) -> list[str]:
        return sorted(self._all())

    def load(self, name: str) -> ModuleType:
        """What the module must offer is said where the registry is made. KeyError for an unknown name."""
        return import_module(self._all()[name])

    def _all(self) -> dict[str, str]:
        if self._paths is None:
            paths = dict(self._built_in)
            for point in entry_points(group=self.group):
                if point.name in paths:
                    raise ValueError(f"{self.group}: {point.name!r} is both {paths[point.name]} and {point.value}")
                paths[point.name] = point.value
            self._paths = paths
        return self._paths


#: Each module offers `CARRIER`, an `exports.transports.base.Carrier`.
TRANSPORTS = Registry(
    "exportsite.transports",
    {
        name: f"exports.transports.{name}"
        for name in ("download", "email", "rsync", "ftp", "ftps", "sftp", "webdav", "s3")
    },
)
