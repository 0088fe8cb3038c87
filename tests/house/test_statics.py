"""Static files have their digest in their name, and browsers keep them for ever."""

import re
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

STATIC = Path(__file__).resolve().parents[2] / "exports/static"
_LINK = re.compile(r'(?:href|src)="(/static/[^"]+)"')


def test_what_a_page_links_is_kept_for_ever(client: Client) -> None:
    links = _LINK.findall(client.get("/web/sign-in").content.decode())
    assert len(links) == 4
    for link in links:
        answer = client.get(link)
        plain = re.sub(r"\.[0-9a-f]{12}(\.[a-z]+)$", r"\1", link).removeprefix("/static/")
        assert plain != link.removeprefix("/static/")
        assert answer.status_code == 200 and b"".join(answer) == (STATIC / plain).read_bytes()
        assert "immutable" in answer["Cache-Control"] and "max-age=315360000" in answer["Cache-Control"]


@pytest.mark.django_db
def test_the_plain_name_is_kept_for_an_hour_and_a_wrong_digest_is_nothing(client: Client) -> None:
    assert client.get("/static/web/app.css")["Cache-Control"] == "max-age=3600, public"
    assert client.get("/static/web/app.0123456789ab.css").status_code == 404


@pytest.mark.django_db
def test_the_administration_has_its_files_too(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    links = _LINK.findall(client.get("/admin/").content.decode())
    assert len(links) > 5
    assert {client.get(link).status_code for link in links} == {200}
