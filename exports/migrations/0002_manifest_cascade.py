"""Manifests go with their run inside the database: Django would load 300,000 entries to delete them one by one."""

from django.db import migrations

CONSTRAINT = """
    DO $$
    DECLARE name text;
    BEGIN
        SELECT conname INTO name FROM pg_constraint
        WHERE conrelid = 'exports_runentry'::regclass AND contype = 'f' AND confrelid = 'exports_run'::regclass;
        EXECUTE format('ALTER TABLE exports_runentry DROP CONSTRAINT %I', name);
        ALTER TABLE exports_runentry ADD CONSTRAINT exports_runentry_run_id_fk
            FOREIGN KEY (run_id) REFERENCES exports_run (id) ON DELETE {} DEFERRABLE INITIALLY DEFERRED;
    END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("exports", "0001_initial")]
    operations = [migrations.RunSQL(CONSTRAINT.format("CASCADE"), CONSTRAINT.format("NO ACTION"))]
