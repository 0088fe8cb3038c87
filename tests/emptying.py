"""Emptying the database after a test whose transactions were real."""

from collections.abc import Callable

from django.db import connection, transaction
from django.test import TransactionTestCase

#: Types and permissions follow from the models, migrations from the code: no test writes them.
_KEPT = {"django_content_type", "auth_permission", "django_migrations"}
_SMALL = 1_000_000


def quick(truncate: Callable[[TransactionTestCase], None]) -> Callable[[TransactionTestCase], None]:
    """Django truncates all tables after each such test, and makes types and permissions anew: 0.1 s, 850 times.

    Rows of a few tables are deleted in a tenth of that; `truncate` is left for large tables (or what deleted rows left
    of them) and for a database role that may not switch triggers off.
    """

    def empty(case: TransactionTestCase) -> None:
        if not _deleted():
            truncate(case)

    return empty


def _deleted() -> bool:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('is_superuser')::bool")
        if not cursor.fetchone()[0]:
            return False
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename")
        tables = [connection.ops.quote_name(name) for (name,) in cursor.fetchall() if name not in _KEPT]
        # As TRUNCATE would: waits for what a killed process had still sent.
        cursor.execute(f"LOCK TABLE {', '.join(tables)} IN SHARE ROW EXCLUSIVE MODE")
        each = (f"SELECT '{table}', pg_table_size('{table}'), EXISTS (SELECT FROM {table})" for table in tables)  # noqa: S608
        cursor.execute(" UNION ALL ".join(each))
        found = cursor.fetchall()
        if any(size > _SMALL for _, size, _ in found):
            return False
        deletes = (f"DELETE FROM {table}" for table, _, has_rows in found if has_rows)  # noqa: S608
        cursor.execute("; ".join(["SET LOCAL session_replication_role = replica", *deletes]))
    return True
