from django.apps import AppConfig


class ExportsConfig(AppConfig):
    name = "exports"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from cells.sweeping import REFERENCES

        # A sealed manifest keeps the blobs it names.
        REFERENCES.append("SELECT sha256 FROM exports_runentry WHERE pack_offset IS NULL")
        REFERENCES.append("SELECT sha256 FROM exports_rendition")
