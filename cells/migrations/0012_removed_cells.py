from django.db import migrations, models
from django.db.migrations.exceptions import IrreversibleError


def none_is_going(apps, schema_editor) -> None:
    """Without the column they would be their owners' again, under names that no cell can have."""
    if apps.get_model("cells", "Cell").objects.exclude(removed_at=None).exists():
        raise IrreversibleError("Deleted cells are still being removed: wait for exports.remove_cells, and try again.")


class Migration(migrations.Migration):
    dependencies = [("cells", "0011_times_of_files")]

    operations = [
        migrations.AddField("cell", "removed_at", models.DateTimeField(null=True)),
        migrations.RunPython(migrations.RunPython.noop, none_is_going),
        migrations.AlterModelOptions("cell", {"default_manager_name": "objects"}),
    ]
