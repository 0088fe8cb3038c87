"""The admin shows every row and changes none."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from exports.models import Event, Export, Run, Volume
from exports.services import exports, health


@pytest.fixture
def export(alice: User) -> Export:
    made = exports.export_create(
        owner=alice, type="export", name="press", cells=None, definition={"search": {}}, transports=[], schedules=[]
    )
    run = exports.export_start(export=made)
    Volume.objects.create(run=run, packer="zip", first=0, last=0, etag="e")
    return made


@pytest.mark.parametrize("model", [Export, Run, Volume, Event])
def test_rows_are_shown_and_cannot_be_changed(model, export: Export) -> None:
    assert model in admin.site._registry
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="root's password"))
    name = f"admin:exports_{model._meta.model_name}"
    row = model.objects.first()
    assert client.get(reverse(f"{name}_changelist")).status_code == 200
    page = client.get(reverse(f"{name}_change", args=[row.pk]))
    assert page.status_code == 200
    assert b"nonce" not in page.content
    assert client.post(reverse(f"{name}_change", args=[row.pk]), {}).status_code == 403
    assert client.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert client.get(reverse(f"{name}_add")).status_code == 403
    assert model.objects.filter(pk=row.pk).exists()


def test_settings_in_force_are_settings(settings) -> None:
    """A misspelt one would be left out without a word, as READ_ONLY was."""
    settings.READ_ONLY = True
    shown = dict(health.settings_shown())
    assert shown.keys() == set(health._SHOWN) and shown["READ_ONLY"] == "True"
    assert not [name for name in shown if "SECRET" in name or "PASSWORD" in name or "URL" in name.removesuffix("_URL")]
