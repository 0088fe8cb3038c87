"""Sessions and tokens (`spec/v1.md §2`)."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from cells import tokens
from cells.models import AccessToken
from tests.clients import V1

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def nobody() -> V1:
    return V1()


def new_session(nobody: V1) -> str:
    return nobody.get("session").json()["token"]


def authenticate(nobody: V1, token: str, **query: str) -> object:
    return nobody._client.post("/api/v1/session/authenticate", query_params={"token": token, **query})


def error(response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_a_new_session_is_nobodys(nobody: V1) -> None:
    """§2.2: "creates an unauthenticated session, 200, body = session (2.5)";
    §2.5: "An unauthenticated session must not contain `user` or `authenticated`"."""
    session = nobody.get("session").json()
    assert len(session["token"]) >= 43
    assert session["instance"] == {
        "api": "1", "server_version": 1, "solution": "easydb", "user-schema": 1, "name": "local",
    }  # fmt: skip
    assert session["authentication_methods"][0] == {"method": "easydb"}
    assert session["config"] == {"base": {}, "defaults": {}, "extensions": {}}
    assert session["frontend_language"] == "en-US" and session["frontend_locale"] == {}
    assert not {"user", "authenticated", "system_rights", "groups"} & session.keys()


def test_only_the_digest_of_a_token_is_stored(nobody: V1) -> None:
    raw = new_session(nobody)
    assert AccessToken.objects.get().digest == tokens.digest(raw) != raw


def test_a_session_can_be_read_and_its_language_switched(nobody: V1) -> None:
    raw = new_session(nobody)
    assert nobody.get(f"session?token={raw}&language=de-DE").json()["frontend_language"] == "de-DE"
    assert nobody.get(f"session?token={raw}").json()["frontend_language"] == "de-DE"


def test_an_unknown_language_is_refused_and_makes_no_session(nobody: V1) -> None:
    """§2.2: "Unknown `language` → 400 `error.user.language_not_found` with `parameters.id`"."""
    answer = nobody.get("session?language=xx-XX")
    assert error(answer) == (400, "error.user.language_not_found")
    assert answer.json()["parameters"] == {"id": "xx-XX"}
    assert not AccessToken.objects.exists()


def test_an_unknown_token_is_told_back(nobody: V1) -> None:
    """§2.3: "unknown token → 400 `error.user.session_not_found`, `parameters.id` = the token"."""
    answer = nobody.get("session?token=nonsense")
    assert answer.status_code == 400
    assert answer.json() == {
        "realm": "user", "code": "error.user.session_not_found", "parameters": {"id": "nonsense"},
    }  # fmt: skip


def test_login_shows_who_is_there(nobody: V1, alice: User) -> None:
    raw = new_session(nobody)
    session = authenticate(nobody, raw, login="alice", password="alice's password").json()
    assert session["token"] == raw
    assert session["user"]["_basetype"] == "user"
    assert (session["user"]["user"]["_id"], session["user"]["user"]["login"]) == (alice.pk, "alice")
    assert session["user"]["user"]["_primary_email"] == "alice@example.org"
    assert session["authenticated"]["method"] == "easydb" and session["authenticated"]["timestamp"].endswith("Z")
    assert session["current_max_event_id"] == session["current_max_message_id"] == 0
    assert session["pending_tasks"] == [] and session["groups"] == [] and session["system_rights"] == {}


def test_login_works_from_a_form_body_and_by_mail_address(nobody: V1, alice: User) -> None:
    raw = new_session(nobody)
    answer = nobody._client.post(
        "/api/v1/session/authenticate",
        f"token={raw}&login=ALICE%40example.org&password=alice%27s+password",
        content_type=FORM,
    )
    assert answer.json()["user"]["user"]["login"] == "alice"


def test_a_mail_address_of_two_accounts_logs_nobody_in(nobody: V1, alice: User, bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(email=alice.email)
    raw = new_session(nobody)
    assert (
        error(authenticate(nobody, raw, login=alice.email, password="bob's password"))[1] == "error.user.login_failed"
    )
    assert "user" not in nobody.get(f"session?token={raw}").json()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"login": "alice", "password": "wrong"}, "error.user.login_failed"),
        ({"login": "nobody", "password": "wrong"}, "error.user.login_failed"),
        ({"login": "al\0ice", "password": "wrong"}, "error.user.login_failed"),
        ({"login": "alice", "password": "x" * 5000}, "error.user.login_failed"),
        ({"login": "", "password": "x"}, "error.user.username_or_password_empty"),
        ({"login": "alice"}, "error.user.username_or_password_empty"),
        ({"method": "anonymous"}, "error.user.authentication_method_not_allowed"),
        ({"method": "email", "login": "alice"}, "error.user.authentication_method_not_allowed"),
        ({"method": "task,easydb", "login": "alice"}, "error.api.invalid_value"),
        ({"remember_me": "yes", "login": "alice"}, "error.api.invalid_value"),
        ({"response_type": "xml"}, "error.api.invalid_value"),
        ({"response_type": "javascript"}, "error.api.attribute_expected"),
        ({"response_type": "javascript", "success": "ok", "error": "alert(1)//"}, "error.api.invalid_value"),
        ({"success": "javascript:alert(1)"}, "error.api.invalid_value"),
        ({"error": "http://[broken"}, "error.api.invalid_value"),
    ],
)
def test_a_refused_login_leaves_the_session_as_it_was(nobody: V1, alice: User, query: dict, code: str) -> None:
    raw = new_session(nobody)
    assert error(authenticate(nobody, raw, **query)) == (400, code)
    assert "user" not in nobody.get(f"session?token={raw}").json()


def test_the_method_list_is_tried_in_order(nobody: V1, alice: User) -> None:
    raw = new_session(nobody)
    answer = authenticate(nobody, raw, method="anonymous,easydb", login="alice", password="alice's password")
    assert answer.json()["authenticated"]["method"] == "easydb"


def test_authenticate_needs_a_token(nobody: V1) -> None:
    assert error(nobody._client.post("/api/v1/session/authenticate")) == (400, "error.api.attribute_expected")
    unknown = nobody._client.post("/api/v1/session/authenticate?token=x&login=a&password=b")
    assert error(unknown) == (400, "error.user.session_not_found")


def test_a_disabled_account_is_told_so_only_after_its_password(nobody: V1, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)
    raw = new_session(nobody)
    right = authenticate(nobody, raw, login="alice", password="alice's password")
    assert error(right) == (400, "error.user.login_disabled")
    wrong = authenticate(nobody, raw, login="alice", password="wrong")
    assert error(wrong) == (400, "error.user.login_failed")


def test_redirects_after_success_and_failure(nobody: V1, alice: User) -> None:
    """§2.4: success → 302 to it; failure → 302 `<error>#m:<reason>#l:<login>`."""
    raw = new_session(nobody)
    where = {"success": "https://front.example/in?a=b", "error": "https://front.example/out"}
    failed = authenticate(nobody, raw, login="al ice\r\nX: y", password="wrong", **where)
    assert failed.status_code == 302
    assert failed["Location"] == "https://front.example/out#m:login_failed#l:al%20ice%0D%0AX%3A%20y"
    missing = authenticate(nobody, "nonsense", login="alice", password="x", **where)
    assert missing["Location"] == "https://front.example/out#m:session_missing#l:alice"
    done = authenticate(nobody, raw, login="alice", password="alice's password", **where)
    assert (done.status_code, done["Location"]) == (302, "https://front.example/in?a=b")
    assert "user" in nobody.get(f"session?token={raw}").json()


def test_only_known_user_errors_are_redirected(nobody: V1) -> None:
    answer = authenticate(nobody, new_session(nobody), method="anonymous", error="https://front.example/out")
    assert error(answer) == (400, "error.user.authentication_method_not_allowed")


def test_javascript_mode_calls_the_function(nobody: V1, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(first_name="</script><b>")
    raw = new_session(nobody)
    mode = {"response_type": "javascript", "success": "top.loggedIn", "error": "failed"}
    done = authenticate(nobody, raw, login="alice", password="alice's password", **mode)
    assert done.status_code == 200 and done["Content-Type"].startswith("text/html")
    assert b"<script>top.loggedIn({" in done.content and done.content.count(b"</script>") == 1
    failed = authenticate(nobody, raw, login="alice", password="wrong", **mode)
    assert failed.status_code == 403 and b'failed({"realm":"user","code":"error.user.login_failed"})' in failed.content


def test_root_logs_in_on_behalf_of_another(nobody: V1, alice: User, bob: User) -> None:
    """§2.4: "`password` of the form `<root login>/<root password>` logs into the account given by `login`"."""
    raw = new_session(nobody)
    as_bob = {"login": "alice", "password": "bob/bob's password"}
    assert error(authenticate(nobody, raw, **as_bob)) == (400, "error.user.login_failed")
    User.objects.filter(pk=bob.pk).update(is_superuser=True)
    assert authenticate(nobody, raw, **as_bob).json()["user"]["user"]["login"] == "alice"


def test_too_many_failures_block_even_the_right_password(nobody: V1, alice: User, settings) -> None:
    settings.LOGIN_ATTEMPTS = 3
    raw = new_session(nobody)
    for _ in range(3):
        assert error(authenticate(nobody, raw, login="alice", password="wrong"))[1] == "error.user.login_failed"
    blocked = authenticate(nobody, raw, login="alice", password="alice's password")
    assert error(blocked) == (400, "error.user.login_blocked")
    assert "user" not in nobody.get(f"session?token={raw}").json()
    elsewhere = Client(REMOTE_ADDR="10.1.2.3").post(
        "/api/v1/session/authenticate", query_params={"token": raw, "login": "alice", "password": "alice's password"}
    )
    assert "user" in elsewhere.json()


def test_a_success_forgets_the_failures(nobody: V1, alice: User, settings) -> None:
    settings.LOGIN_ATTEMPTS = 2
    raw = new_session(nobody)
    for password in ("wrong", "alice's password", "wrong", "alice's password"):
        answer = authenticate(nobody, raw, login="alice", password=password)
        assert ("user" in answer.json()) == (password != "wrong")


def test_guessing_roots_password_through_many_logins_is_counted_for_root(nobody: V1, bob: User, settings) -> None:
    settings.LOGIN_ATTEMPTS = 2
    User.objects.filter(pk=bob.pk).update(is_superuser=True)
    raw = new_session(nobody)
    for login in ("a", "b", "c"):
        User.objects.create_user(login, password="x")
        answer = authenticate(nobody, raw, login=login, password="bob/wrong")
    assert error(answer) == (400, "error.user.login_blocked")


def test_deauthenticate_leaves_a_session_of_nobody(nobody: V1, alice: User) -> None:
    """§2.6: "200 with an unauthenticated session (also when it was not authenticated)"."""
    raw = new_session(nobody)
    authenticate(nobody, raw, login="alice", password="alice's password")
    for _ in range(2):  # "also when it was not authenticated"
        session = nobody.post(f"session/deauthenticate?token={raw}").json()
        assert session["token"] == raw and "user" not in session
    assert authenticate(nobody, raw, login="alice", password="alice's password").json()["token"] == raw


def test_deauthenticate_of_an_unknown_session(nobody: V1) -> None:
    """§2.6: "Unknown token → 400 `error.user.session_not_found`, or 302 `<error>#m:session_missing#l:`"."""
    assert error(nobody.post("session/deauthenticate?token=x")) == (400, "error.user.session_not_found")
    answer = nobody.post("session/deauthenticate?token=x&error=/out")
    assert (answer.status_code, answer["Location"]) == (302, "/out#m:session_missing#l:")


def test_a_programs_token_is_no_session_to_log_in_and_out_of(alice: User, bob: User) -> None:
    client = V1(alice)
    assert client.get("session").json()["user"]["user"]["login"] == "alice"
    assert client.post("session/deauthenticate").status_code == 403
    assert client.post("session/authenticate?login=bob&password=bob's%20password").status_code == 403
    assert AccessToken.objects.get().user == alice


def test_an_idle_session_expires_and_use_keeps_it_alive(nobody: V1, alice: User, settings, time_machine) -> None:
    """§2.1: "Idle expiry: 7 days by default, counted from the last authenticated API call"."""
    start = timezone.now()
    time_machine.move_to(start, tick=False)
    raw = new_session(nobody)
    authenticate(nobody, raw, login="alice", password="alice's password")
    for days in (6, 12, 18):
        time_machine.move_to(start + timedelta(days=days), tick=False)
        assert "user" in nobody.get(f"session?token={raw}").json()
    time_machine.move_to(start + timedelta(days=25, seconds=1), tick=False)
    assert error(nobody.get(f"session?token={raw}")) == (400, "error.user.session_invalid")


def test_use_is_written_at_most_once_a_minute(alice: User, time_machine, django_assert_max_num_queries) -> None:
    start = timezone.now()
    time_machine.move_to(start, tick=False)
    raw = tokens.token_create(user=alice)
    tokens.token_find(raw)
    time_machine.move_to(start + timedelta(seconds=59), tick=False)
    with django_assert_max_num_queries(1):
        tokens.token_find(raw)
    assert AccessToken.objects.get().last_used_at == start
    time_machine.move_to(start + timedelta(seconds=61), tick=False)
    tokens.token_find(raw)
    assert AccessToken.objects.get().last_used_at == start + timedelta(seconds=61)


def test_a_programs_token_keeps_its_expiry(alice: User, time_machine) -> None:
    start = timezone.now()
    time_machine.move_to(start, tick=False)
    raw = tokens.token_create(user=alice, expires=timedelta(days=1))
    time_machine.move_to(start + timedelta(hours=23), tick=False)
    tokens.token_find(raw)
    assert AccessToken.objects.get().expires_at == start + timedelta(days=1)


def test_a_token_dies_with_its_users_account(alice: User) -> None:
    client = V1(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert error(client.get("session")) == (400, "error.user.session_invalid")


def test_old_tokens_are_swept_and_live_ones_are_not(alice: User) -> None:
    now = timezone.now()
    for days, user in ((-31, alice), (-29, alice), (1, alice), (-1, None), (1, None)):
        AccessToken.objects.create(digest=f"{days}{user}", user=user, expires_at=now + timedelta(days=days))
    assert tokens.tokens_sweep(now=now) == 2
    assert set(AccessToken.objects.values_list("digest", flat=True)) == {"-29alice", "1alice", "1None"}


@pytest.mark.parametrize("trusted", [True, False])
def test_behind_a_proxy_of_ours_failures_count_for_the_address_it_saw(
    trusted: bool, nobody: V1, alice: User, settings
) -> None:
    """And without one the header, which anybody can write, counts for nothing."""
    settings.LOGIN_ATTEMPTS, settings.TRUSTED_PROXY = 1, trusted
    raw = new_session(nobody)

    def login(password: str, address: str) -> str:
        answer = Client(HTTP_X_FORWARDED_FOR=f"203.0.113.9, {address}").post(
            "/api/v1/session/authenticate", query_params={"token": raw, "login": "alice", "password": password}
        )
        return answer.json().get("code", "")

    assert login("wrong", "198.51.100.1") == "error.user.login_failed"
    assert login("alice's password", "198.51.100.1") == "error.user.login_blocked"
    assert login("alice's password", "198.51.100.2") == ("" if trusted else "error.user.login_blocked")
