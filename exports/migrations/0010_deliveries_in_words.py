from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("exports", "0009_notifications_of_imports")]

    operations = [
        migrations.AlterModelOptions(
            name="delivery", options={"ordering": ["position"], "verbose_name_plural": "deliveries"}
        ),
    ]
