import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("exports", "0008_move_exports")]

    operations = [
        migrations.AlterField(
            model_name="notification",
            name="run",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="notifications",
                to="exports.run",
            ),
        ),
        migrations.AddField(
            model_name="notification",
            name="imported",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="notifications",
                to="exports.import",
            ),
        ),
    ]
