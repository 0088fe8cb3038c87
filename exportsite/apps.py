from django.apps import AppConfig


class SiteConfig(AppConfig):
    """An app only so that Django finds the `up` command and the templates."""

    name = "exportsite"
