"""The two questions for load balancers, and the pages for people."""

import pytest
from django.test import Client


@pytest.mark.django_db
def test_the_server_is_ready_when_database_redis_and_store_answer(client: Client) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"database": True, "redis": True, "store": True})


@pytest.mark.django_db
def test_the_server_is_not_ready_when_the_store_cannot_be_written(client: Client, settings, tmp_path) -> None:
    (tmp_path / "a file").write_text("")
    settings.EXPORTS_STORE = tmp_path / "a file" / "store"
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"database": True, "redis": True, "store": False})


def test_a_live_process_says_so_without_any_server_behind_it(client: Client) -> None:
    assert client.get("/healthz").content == b"ok\n"


@pytest.mark.parametrize(("path", "policy"), [("/", "same-origin"), ("/api/docs", "no-referrer")])
def test_no_page_tells_another_site_where_somebody_was(client: Client, path: str, policy: str) -> None:
    """Pages with forms say same-origin: with no-referrer a browser sends `Origin: null`, which Django refuses."""
    assert client.get(path)["Referrer-Policy"] == policy


def test_the_first_page_lets_nobody_sniff_and_leads_on(client: Client) -> None:
    answer = client.get("/")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert b"/api/docs" in answer.content and b"/web/sign-in" in answer.content


def test_the_api_description_needs_nothing_from_other_hosts(client: Client) -> None:
    page = client.get("/api/docs")
    assert page.status_code == 200
    assert b"//cdn" not in page.content and b"https://" not in page.content
