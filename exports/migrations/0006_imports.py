import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import exports.states


class Migration(migrations.Migration):

    dependencies = [
        ("cells", "0003_search"),
        ("exports", "0005_assets_and_renditions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Import",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(blank=True, max_length=255)),
                ("source", models.CharField(max_length=4200)),
                ("mode", models.CharField(choices=[("replace", "Replace"), ("merge", "Merge"), ("skip", "Skip"), ("keep_both", "Keep Both")], default="replace", max_length=16)),
                ("state", models.CharField(choices=[("pending", "pending"), ("processing", "processing"), ("done", "done"), ("failed", "failed"), ("dismissed", "dismissed"), ("undone", "undone")], default=exports.states.ImportState["PENDING"], max_length=20)),
                ("fence", models.PositiveIntegerField(default=0)),
                ("heartbeat_at", models.DateTimeField(null=True)),
                ("nudged_at", models.DateTimeField(null=True)),
                ("done", models.BigIntegerField(default=0)),
                ("total", models.BigIntegerField(default=0)),
                ("started_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("finished_at", models.DateTimeField(null=True)),
                ("error", models.JSONField(null=True)),
                ("generation", models.PositiveIntegerField(null=True)),
                ("previous_generation", models.PositiveIntegerField(null=True)),
                ("undo_until", models.DateTimeField(null=True)),
                ("report", models.JSONField(default=dict)),
                ("cell", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="imports", to="cells.cell")),
                ("owner", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL)),
            ],
            options={
                "indexes": [models.Index(fields=["cell", "-id"], name="import_by_cell")],
                "constraints": [models.UniqueConstraint(condition=models.Q(("state__in", (exports.states.ImportState["PENDING"], exports.states.ImportState["PROCESSING"]))), fields=("cell",), name="import_one_active_per_cell")],
            },
        ),
    ]
