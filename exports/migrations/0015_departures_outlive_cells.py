import django.db.models.deletion
from django.db import migrations, models


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
    ]
