from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("exports", "0013_mails_of_moves")]

    operations = [
        migrations.AddField("run", "read_done", models.BigIntegerField(default=0)),
        migrations.AddField("run", "read_planned", models.BigIntegerField(default=0)),
    ]
