"""Triggers that remember what leaves the visible generation of a cell, whoever deletes or moves."""

import django.db.models.deletion
from django.db import migrations, models

from cells.fields import PathField

# Rows of generations that nobody sees leave no trace. What a folder is called ends in a slash.
TRIGGERS = """
CREATE FUNCTION cells_document_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cells_deletion (cell_id, doctype, name, object_id, deleted_at)
    SELECT r.cell_id, r.doctype, r.doc_id, r.id, clock_timestamp() FROM old_rows r
    JOIN cells_cell c ON c.id = r.cell_id AND c.generation = r.generation;
    RETURN NULL;
END $$;
CREATE TRIGGER cells_document_deletion AFTER DELETE ON cells_document REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION cells_document_deletion();
CREATE FUNCTION cells_file_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cells_deletion (cell_id, doctype, name, deleted_at)
    SELECT r.cell_id, '', r.path || CASE WHEN r.is_folder THEN '/' ELSE '' END, clock_timestamp() FROM old_rows r
    JOIN cells_cell c ON c.id = r.cell_id AND c.generation = r.generation;
    RETURN NULL;
END $$;
CREATE TRIGGER cells_file_deletion AFTER DELETE ON cells_file REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION cells_file_deletion();
CREATE FUNCTION cells_file_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cells_deletion (cell_id, doctype, name, deleted_at)
    SELECT r.cell_id, '', r.path || CASE WHEN r.is_folder THEN '/' ELSE '' END, clock_timestamp() FROM old_rows r
    JOIN cells_cell c ON c.id = r.cell_id AND c.generation = r.generation
    JOIN new_rows n ON n.id = r.id AND n.path <> r.path;
    RETURN NULL;
END $$;
CREATE TRIGGER cells_file_moved AFTER UPDATE ON cells_file
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION cells_file_moved();
"""
GONE = """
DROP FUNCTION cells_file_moved() CASCADE;
DROP FUNCTION cells_file_deletion() CASCADE;
DROP FUNCTION cells_document_deletion() CASCADE;
"""


class Migration(migrations.Migration):
    dependencies = [("cells", "0005_snapshots")]
    operations = [
        migrations.AddField("cell", "switched_at", models.DateTimeField(null=True)),
        migrations.CreateModel(
            name="Deletion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("doctype", models.CharField(db_collation="C", max_length=128)),
                ("name", PathField()),
                ("object_id", models.BigIntegerField(null=True)),
                ("deleted_at", models.DateTimeField()),
                (
                    "cell",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deletions",
                        to="cells.cell",
                    ),
                ),
            ],
            options={"indexes": [models.Index(fields=["cell", "deleted_at"], name="deletion_by_time")]},
        ),
        migrations.RunSQL(TRIGGERS, GONE),
    ]
