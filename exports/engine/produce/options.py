"""What data files are wanted, and how (`spec/v1.md §8`). Every field has its value: defaults are the caller's."""

from collections.abc import Mapping
from dataclasses import dataclass, field

#: {path of a field: its rule}; None is every field.
Fields = Mapping[str, Mapping[str, object]] | None


@dataclass(frozen=True)
class Table:
    """What CSV and XLSX have in common."""

    #: Between a field and what is below it: `title#de-DE`.
    separator: str = "#"
    #: "column" is one column a level, "/" and ">" join the levels; None is the object alone.
    hierarchy: str | None = None
    changelog: bool = False
    empty_columns: bool = False
    #: Columns by the `display_names` of `language`.
    localized: bool = False


@dataclass(frozen=True)
class Csv:
    table: Table = field(default_factory=Table)
    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'
    bom: bool = False
    #: Our extension: no spreadsheet takes a text for a formula.
    formula_safe: bool = False


@dataclass(frozen=True)
class Xml:
    one_per_object: bool = False
    stylesheet: bytes | None = None
    #: Bytes; a larger file is not transformed.
    stylesheet_limit: int = 0


@dataclass(frozen=True)
class Json:
    one_per_object: bool = False


@dataclass(frozen=True)
class Merge:
    """`merge_linked_objects`: which linked objects XML holds with all their content."""

    policy: str = "none"
    depth: int = 1
    #: Types of the main search; None is every type.
    main: frozenset[str] | None = None

    def embeds(self, objecttype: str, *, reverse: bool) -> bool:
        """`reverse`: the link stands in a `_reverse_nested:` table."""
        in_main = self.main is None or objecttype in self.main
        return {
            "all": True,
            "in_main_search": in_main,
            "not_in_main_search": not in_main,
            "not_in_main_search_and_reverse": not in_main or reverse,
            "not_in_main_search_unless_reverse": not in_main and not reverse,
        }.get(self.policy, False)


@dataclass(frozen=True)
class Data:
    """`folder` is the name of the top folder; `batch_size` 0 puts everything into one package."""

    folder: str
    csv: Csv | None = None
    xml: Xml | None = None
    json: Json | None = None
    xlsx: Table | None = None
    merge: Merge = field(default_factory=Merge)
    fields: Fields = None
    #: `include_parents`: objects tell their `_path`.
    parents: bool = False
    #: Of translated texts; None is all that there are.
    languages: tuple[str, ...] | None = None
    batch_size: int = 100
    flat: bool = False

    @property
    def is_named(self) -> bool:
        """Whether objects tell their `_standard` unasked."""
        return self.fields is None

    @property
    def has_parents(self) -> bool:
        """Whether somebody asks what objects stand below."""
        return self.parents or any(table.hierarchy for table in self.tables)

    @property
    def is_linked(self) -> bool:
        """Whether somebody asks what objects link; JSON gives links as they are."""
        return self.xml is not None or bool(self.tables) or self.parents

    @property
    def tables(self) -> list[Table]:
        return [table for table in (self.csv and self.csv.table, self.xlsx) if table]

    @property
    def written(self) -> bool:
        return bool(self.csv or self.xml or self.json or self.xlsx)
