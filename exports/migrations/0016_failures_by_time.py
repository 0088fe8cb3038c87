"""What failed lately is found without reading all that ever ran."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("exports", "0015_departures_outlive_cells")]
    operations = [
        migrations.AddIndex(
            model_name=name,
            index=models.Index(fields=["finished_at"], name=f"{name}_failed", condition=models.Q(("state", "failed"))),
        )
        for name in ("run", "delivery", "import")
    ]
