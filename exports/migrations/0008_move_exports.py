import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import exports.models.moving


class Migration(migrations.Migration):
    dependencies = [
        ("cells", "0003_search"),
        ("exports", "0007_runs_of_cells"),
    ]

    operations = [
        migrations.CreateModel(
            name="MoveExport",
            fields=[
                (
                    "uid",
                    models.CharField(
                        default=exports.models.moving._uid, max_length=32, primary_key=True, serialize=False
                    ),
                ),
                ("parts_size", models.BigIntegerField()),
                ("max_age", models.BigIntegerField()),
                ("with_doctypes", models.JSONField(default=list)),
                ("without_files", models.BooleanField(default=False)),
                ("base_url", models.CharField(max_length=300)),
                ("total_size", models.BigIntegerField(default=-1)),
                ("contents_size", models.BigIntegerField(default=-1)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "cell",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="move_exports", to="cells.cell"
                    ),
                ),
                (
                    "run",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="move", to="exports.run"
                    ),
                ),
            ],
        ),
    ]
