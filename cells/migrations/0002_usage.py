"""Triggers that keep `cells.Usage`: statement by statement, with transition tables."""

from django.db import migrations

TABLES = {
    "cells_document": "SELECT r.cell_id, r.generation, sum(octet_length(r.body::text)) AS bytes FROM {rows} r GROUP BY 1, 2",
    "cells_file": "SELECT r.cell_id, r.generation, sum(r.size) AS bytes FROM {rows} r GROUP BY 1, 2",
    "cells_fileversion": "SELECT f.cell_id, f.generation, sum(r.size) AS bytes FROM {rows} r"
    " JOIN cells_file f ON f.id = r.file_id GROUP BY 1, 2",
}
EVENTS = {
    "insert": "REFERENCING NEW TABLE AS new_rows",
    "delete": "REFERENCING OLD TABLE AS old_rows",
    "update": "REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows",
}
# Removed rows only ever lower a row that is there: when a whole cell goes, its usage may have gone first.
FUNCTION = """
CREATE FUNCTION {table}_usage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        UPDATE cells_usage u SET bytes = u.bytes - gone.bytes FROM ({old}) gone
        WHERE u.cell_id = gone.cell_id AND u.generation = gone.generation;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO cells_usage AS u (cell_id, generation, bytes) {new}
        ON CONFLICT (cell_id, generation) DO UPDATE SET bytes = u.bytes + EXCLUDED.bytes;
    END IF;
    RETURN NULL;
END $$;
"""
TRIGGER = """
CREATE TRIGGER {table}_usage_{event} AFTER {event} ON {table} {referencing}
FOR EACH STATEMENT EXECUTE FUNCTION {table}_usage();
"""


def _forward() -> str:
    pieces = []
    for table, select in TABLES.items():
        old, new = select.format(rows="old_rows"), select.format(rows="new_rows")
        pieces.append(FUNCTION.format(table=table, old=old, new=new))
        pieces += [TRIGGER.format(table=table, event=event, referencing=how) for event, how in EVENTS.items()]
    return "".join(pieces)


class Migration(migrations.Migration):
    dependencies = [("cells", "0001_initial")]
    operations = [
        migrations.RunSQL(_forward(), "".join(f"DROP FUNCTION {table}_usage() CASCADE;" for table in TABLES))
    ]
