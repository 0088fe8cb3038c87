"""`user_create`, `token_create`, `cell_create` and the admin pages."""

import io
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.utils import timezone

from cells import tokens
from cells.models import AccessToken, Cell
from tests.factories import make_cell, put_file

pytestmark = pytest.mark.django_db


def run(*words: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(*words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_user_is_made_and_can_log_in() -> None:
    assert run("user_create", "dora", "--password", "pw", "--email", "dora@example.org") == ("dora\n", "")
    user = User.objects.get()
    assert user.check_password("pw") and user.email == "dora@example.org"
    assert not user.is_superuser and not user.is_staff


def test_the_password_may_come_from_standard_input(monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(" from stdin \nmore"))
    run("user_create", "root", "--password-stdin", "--root")
    user = User.objects.get()
    assert user.check_password(" from stdin ") and user.is_superuser and user.is_staff


def test_without_a_password_only_tokens_work() -> None:
    out, err = run("user_create", "program")
    assert out == "program\n" and "token" in err
    assert not User.objects.get().has_usable_password()


@pytest.mark.parametrize(
    "words", [["alice"], ["a b"], [""], ["x" * 151], ["dora", "--email", "nonsense"], ["dora", "--password", ""]]
)
def test_a_user_that_cannot_be_is_not_made(alice: User, words: list[str]) -> None:
    with pytest.raises(CommandError):
        run("user_create", *words)
    assert list(User.objects.all()) == [alice]


def test_a_token_is_printed_alone_and_works(alice: User, bob: User) -> None:
    cell = make_cell(alice)
    out, err = run("token_create", "alice")
    assert err == "" and tokens.token_find(out.strip()).user == alice
    assert tokens.token_find(out.strip()).scopes == ["session"]
    for_cell = tokens.token_find(run("token_create", "bob", "--cell", cell.name, "--expires", "30d")[0].strip())
    assert (for_cell.user, for_cell.cell, for_cell.scopes) == (bob, cell, ["root"])
    assert timedelta(days=29) < for_cell.expires_at - timezone.now() <= timedelta(days=30)
    scoped = run("token_create", "alice", "--scope", "io.cozy.exports", "a", "--scope", "b")[0].strip()
    assert tokens.token_find(scoped).scopes == ["io.cozy.exports", "a", "b"]


@pytest.mark.parametrize(
    "words",
    [["nobody"], ["alice", "--cell", "none"], ["alice", "--expires", "30"], ["alice", "--expires", "0d"],
     ["alice", "--scope", "login"]],
)  # fmt: skip
def test_a_token_that_cannot_be_is_not_made(alice: User, words: list[str]) -> None:
    with pytest.raises(CommandError):
        run("token_create", *words)
    assert not AccessToken.objects.exists()


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("500", 500), ("10GB", 10**10), ("1.5 GiB", 3 * 2**29), ("7kb", 7000), ("2tb", 2 * 10**12)],
)
def test_a_cell_is_made_with_its_quota(alice: User, text: str, size: int) -> None:
    assert run("cell_create", "one", "--owner", "alice", "--quota", text) == ("one\n", "")
    assert Cell.objects.values_list("name", "owner__username", "quota").get() == ("one", "alice", size)


def test_a_cell_has_no_quota_unless_given_one(alice: User) -> None:
    call_command("cell_create", "one", owner="alice", stdout=io.StringIO())
    assert Cell.objects.get().quota is None


@pytest.mark.parametrize(
    "words",
    [["one"], ["one", "--owner", "nobody"], ["api", "--owner", "alice"], ["taken", "--owner", "alice"],
     ["one", "--owner", "alice", "--quota", "-1"], ["one", "--owner", "alice", "--quota", "10 apples"],
     ["one", "--owner", "alice", "--quota", "9999999999TB"]],
)  # fmt: skip
def test_a_cell_that_cannot_be_is_not_made(alice: User, words: list[str]) -> None:
    cell = make_cell(alice, "taken")
    with pytest.raises(CommandError):
        run("cell_create", *words)
    assert list(Cell.objects.all()) == [cell]


def test_administrators_can_look_and_change_nothing(alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_superuser=True, is_staff=True)
    file = put_file(make_cell(alice), "a/b")
    raw = tokens.token_create(user=alice)
    client = Client()
    client.force_login(User.objects.get())
    pages = ["cell", "file", "accesstoken", f"cell/{file.cell_id}/change", f"file/{file.pk}/change"]
    for page in [*pages, f"accesstoken/{tokens.digest(raw)}/change"]:
        shown = client.get(f"/admin/cells/{page}/")
        assert shown.status_code == 200 and b"alice" in shown.content
    assert client.get("/admin/cells/cell/add/").status_code == 403
    assert client.post(f"/admin/cells/cell/{file.cell_id}/change/", {"name": "evil"}).status_code == 403
    assert client.post(f"/admin/cells/cell/{file.cell_id}/delete/", {"post": "yes"}).status_code == 403
    assert Cell.objects.get().name == "alice-cell"
