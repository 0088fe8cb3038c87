import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

#: As in 0015: a departure has to have an account again.
WITHOUT_OWNER = """
SET CONSTRAINTS ALL IMMEDIATE;
DELETE FROM exports_notification WHERE departure_id IN (SELECT uid FROM exports_departure WHERE owner_id IS NULL);
DELETE FROM exports_departure WHERE owner_id IS NULL;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("exports", "0018_sessions_of_events"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.AlterField(
            model_name="departure",
            name="owner",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, WITHOUT_OWNER),
    ]
