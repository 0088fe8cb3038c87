"""In which session something was done, and from which address."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("exports", "0017_documents_of_entries")]
    operations = [
        migrations.AddField("event", "session", models.CharField(max_length=16, default="", db_default="", blank=True)),
        migrations.AddField("event", "address", models.GenericIPAddressField(null=True)),
    ]
