"""A column for paths of any length that can still be looked up and ordered by an index.

PostgreSQL refuses B-tree entries beyond 2,704 bytes, and a path may have 4,096. So the indexes hold the first 300
characters, and every lookup asks for those too. In the C collation a cut never changes an order.
"""

from typing import Any

from django.db import models
from django.db.models import Func, lookups
from django.db.models.functions import MD5, Left

INDEXED = 300


class PathField(models.CharField):
    """Text in the C collation, whose `exact`, `in`, `gt`, `gte`, `lt` and `lte` find the index on `start_of(name)`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max_length": 4096, "db_collation": "C", **kwargs})


def start_of(name: str) -> Func:
    """The indexed part of the column `name`."""
    return Left(name, INDEXED)


def unique_path(name: str) -> tuple[Func, Func]:
    """Expressions that are equal for equal paths only, and short. In SQL: left(path, 300), md5(path)."""
    return Left(name, INDEXED), MD5(name)


class _Start:
    """Adds `LEFT(column, 300) <operator> LEFT(value, 300)`; `gt` and `lt` may be equal in the start."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple]:
        whole, whole_params = super().as_sql(compiler, connection)
        column, column_params = self.process_lhs(compiler, connection)
        value, value_params = self.process_rhs(compiler, connection)
        operator = connection.operators.get(self.lookup_name, "= %s").replace("%s", "").strip()
        operator = {">": ">=", "<": "<="}.get(operator, operator)
        return (
            f"(LEFT({column}, {INDEXED}) {operator} LEFT({value}, {INDEXED}) AND {whole})",
            (*column_params, *value_params, *whole_params),
        )


_BASES = (
    lookups.Exact,
    lookups.GreaterThan,
    lookups.GreaterThanOrEqual,
    lookups.LessThan,
    lookups.LessThanOrEqual,
)
for _base in _BASES:
    PathField.register_lookup(type(f"Path{_base.__name__}", (_Start, _base), {}))


@PathField.register_lookup
class PathIn(lookups.In):
    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple]:
        whole, whole_params = super().as_sql(compiler, connection)
        if not self.rhs_is_direct_value():
            return whole, whole_params
        column, column_params = self.process_lhs(compiler, connection)
        starts = sorted({str(path)[:INDEXED] for path in self.rhs})
        return f"(LEFT({column}, {INDEXED}) = ANY(%s) AND {whole})", (*column_params, starts, *whole_params)
