from django.contrib.postgres.indexes import BrinIndex
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("cells", "0010_moved_cells")]

    operations = [
        migrations.AddIndex(
            "file", BrinIndex(fields=["updated_at"], name="file_by_change", pages_per_range=32, autosummarize=True)
        ),
    ]
