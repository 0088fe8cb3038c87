"""Manifests go with their run inside the database: Django would load 300,000 entries to delete them one by one.

A trigger, not a foreign key: that would look the one run up again for each of the entries that COPY brings.
"""

from django.db import migrations

CREATE = """
    CREATE FUNCTION exports_manifest_delete() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM exports_runentry WHERE run_id = OLD.id;
        RETURN NULL;
    END $$;
    CREATE TRIGGER exports_manifest_delete AFTER DELETE ON exports_run
        FOR EACH ROW EXECUTE FUNCTION exports_manifest_delete();
"""
DROP = """
    DROP TRIGGER exports_manifest_delete ON exports_run;
    DROP FUNCTION exports_manifest_delete();
"""


class Migration(migrations.Migration):
    dependencies = [("exports", "0001_initial")]
    operations = [migrations.RunSQL(CREATE, DROP)]
