import django.db.models.deletion
from django.db import migrations, models

#: A departure has to have a cell again; checks of keys come at once, for a table with some to come cannot be altered.
WITHOUT_CELL = """
SET CONSTRAINTS ALL IMMEDIATE;
DELETE FROM exports_notification WHERE departure_id IN (SELECT uid FROM exports_departure WHERE cell_id IS NULL);
DELETE FROM exports_departure WHERE cell_id IS NULL;
"""


class Migration(migrations.Migration):
    dependencies = [("cells", "0010_moved_cells"), ("exports", "0014_reading_of_runs")]
    operations = [
        migrations.AlterField(
            model_name="departure",
            name="cell",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="departures",
                to="cells.cell",
            ),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, WITHOUT_CELL),
    ]
