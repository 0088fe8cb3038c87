from django.apps import AppConfig


class ExportsConfig(AppConfig):
    name = "exports"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from cells.sweeping import REFERENCES

        # A sealed manifest keeps the blobs it names.
        REFERENCES.append("SELECT sha256 FROM exports_runentry WHERE pack_offset IS NULL")
        # And an import the archive that it reads, and reads again after a loss.
        REFERENCES.append(
            "SELECT substr(source, 6) AS sha256 FROM exports_import "
            "WHERE state IN ('pending', 'processing') AND source LIKE 'blob:%'"
        )
        REFERENCES.append(
            "SELECT regexp_split_to_table(substr(source, 7), E'\\n') AS sha256 FROM exports_import "
            "WHERE state IN ('pending', 'processing') AND source LIKE 'blobs:%'"
        )
        REFERENCES.append("SELECT sha256 FROM exports_rendition")
