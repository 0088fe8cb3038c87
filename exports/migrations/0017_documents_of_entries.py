"""A file that goes out with a document tells which one it was."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("exports", "0016_failures_by_time")]
    operations = [migrations.AddField("runentry", "document_id", models.BigIntegerField(null=True))]
