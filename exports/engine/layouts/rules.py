"""Which files of a document go out, in which versions, and with which links: the procedure of `spec/v1.md §8.2`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from exports.engine.images.recipe import Recipe


class Version(NamedTuple):
    """One version attribute. `kind` is original, current, version (called `name`) or custom."""

    kind: str
    name: str = ""
    #: How it is made of the content meant; None is that content itself.
    recipe: Recipe | None = None

    @property
    def label(self) -> str:
        return self.name or self.kind


class Link(NamedTuple):
    """An element of `data`: the place of a version is told, and for `long` what is known of the file."""

    kind: str
    #: `<class>.<version name>`, for the kind version.
    name: str
    long: bool

    def version(self, file_class: str) -> Version | None:
        """None where it speaks of another class of files."""
        if self.kind != "version":
            return Version(self.kind)
        of, _, name = self.name.partition(".")
        return Version(self.kind, name) if of == file_class else None


@dataclass(frozen=True)
class FieldRule:
    files: bool = False
    links: tuple[Link, ...] = ()
    include_non_preferred: bool = False


class Candidate(NamedTuple):
    """One of the files of a field."""

    id: int
    file_class: str
    preferred: bool


@dataclass(frozen=True)
class Rules:
    """`eas_fields`, `classes` and `assets` as the dialect has checked them."""

    fields: dict[str, FieldRule] = field(default_factory=dict)
    classes: dict[str, tuple[Version, ...]] = field(default_factory=dict)
    #: False, True, or just these versions; by the id as a string.
    assets: dict[str, bool | tuple[Version, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, eas_fields: dict[str, Any], classes: dict[str, Any], assets: dict[str, Any], *, watermark: str = ""
    ) -> Self:
        """`watermark`: SHA-256 of the picture that renditions with a watermark get."""
        return cls(
            fields={path: _field_rule(rule) for path, rule in eas_fields.items()},
            classes={name: _versions(given, watermark) for name, given in classes.items()},
            assets={
                id: rule if isinstance(rule, bool) else _versions(rule.get("versions", []), watermark)
                for id, rule in assets.items()
            },
        )

    def field(self, objecttype: str, path: str) -> FieldRule | None:
        return self.fields.get(f"{objecttype}.{path}") or self.fields.get(path)

    def chosen(self, rule: FieldRule, files: Sequence[Candidate]) -> Iterator[tuple[int, tuple[Version, ...]]]:
        """(index of a file, versions that are shipped of it), of those of the field's files that count."""
        rule_mode = any(str(file.id) in self.assets for file in files)
        for index, file in enumerate(files):
            own = self.assets.get(str(file.id)) if rule_mode else None
            if own is False:
                continue
            if own is None and not (file.preferred or (rule.include_non_preferred and not rule_mode)):
                continue
            if isinstance(own, tuple):
                yield index, own
            else:
                yield index, self.classes.get(file.file_class, ()) if rule.files else ()

    @property
    def has_recipes(self) -> bool:
        return any(version.recipe for version in self._versions())

    def _versions(self) -> Iterator[Version]:
        for versions in (*self.classes.values(), *self.assets.values()):
            if isinstance(versions, tuple):
                yield from versions

    def names(self) -> set[str]:
        """Of all versions that are asked for by name."""
        asked = {version.name for version in self._versions() if version.kind == "version"}
        links = (link for rule in self.fields.values() for link in rule.links if link.kind == "version")
        return asked | {link.name.partition(".")[2] for link in links}


def _field_rule(rule: dict[str, Any]) -> FieldRule:
    return FieldRule(
        files=bool(rule.get("files")),
        links=tuple(
            Link(link["type"], link.get("version", ""), link.get("format", "long") == "long")
            for link in rule.get("data") or []
        ),
        include_non_preferred=bool(rule.get("include_non_preferred")),
    )


def _versions(given: Sequence[dict[str, Any]], watermark: str) -> tuple[Version, ...]:
    return tuple(_version(version, watermark) for version in given)


def _version(given: dict[str, Any], watermark: str) -> Version:
    kind, metadata = given["type"], given.get("metadata", "standard")
    if kind == "custom":
        return Version(kind, recipe=Recipe.of(given["custom"], metadata=metadata, watermark=watermark))
    # An original is what it is; only its metadata may be cut out, where it asks for that.
    recipe = Recipe(strip=True, metadata="remove") if metadata == "remove" else None
    return Version(kind, given.get("version", "") if kind == "version" else "", recipe)
