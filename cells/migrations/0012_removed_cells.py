from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("cells", "0011_times_of_files")]

    operations = [
        migrations.AddField("cell", "removed_at", models.DateTimeField(null=True)),
        migrations.AlterModelOptions("cell", {"default_manager_name": "objects"}),
    ]
