import django.contrib.postgres.indexes
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("cells", "0008_date_terms")]
    operations = [
        migrations.AddIndex(
            model_name="document",
            index=django.contrib.postgres.indexes.BrinIndex(
                autosummarize=True, fields=[field], name=name, pages_per_range=32
            ),
        )
        for field, name in (("created_at", "document_by_creation"), ("updated_at", "document_by_change"))
    ]
