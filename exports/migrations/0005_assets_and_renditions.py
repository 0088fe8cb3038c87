import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("exports", "0004_preferences_and_notifications")]

    operations = [
        migrations.AddField("runentry", "asset_id", models.BigIntegerField(null=True)),
        migrations.AddField(
            "runentry", "asset_version", models.CharField(blank=True, db_default="", default="", max_length=100)
        ),
        migrations.AddField(
            "runentry", "asset_class", models.CharField(blank=True, db_default="", default="", max_length=8)
        ),
        migrations.CreateModel(
            name="Rendition",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("source", models.CharField(db_collation="C", max_length=64)),
                ("recipe", models.CharField(db_collation="C", max_length=64)),
                ("sha256", models.CharField(blank=True, db_collation="C", default="", max_length=64)),
                ("extension", models.CharField(blank=True, default="", max_length=8)),
                ("width", models.PositiveIntegerField(null=True)),
                ("height", models.PositiveIntegerField(null=True)),
                ("reason", models.CharField(blank=True, default="", max_length=200)),
                ("made_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("used_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "indexes": [models.Index(fields=["sha256"], name="rendition_by_blob")],
                "constraints": [models.UniqueConstraint(fields=("source", "recipe"), name="rendition_once")],
            },
        ),
    ]
