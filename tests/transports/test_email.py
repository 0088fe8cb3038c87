"""Mail by a real SMTP server, through Django's mail settings (`spec/v1.md §9.4`)."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group, User

from exports.errors import DefinitionRefused
from exports.models import Preference
from exports.transports.base import Target, TransportError
from exports.transports.email import CARRIER, check_recipients
from tests.inbox import Inbox, smtp_server
from tests.transports.parcels import Parcel, Reports
from tests.transports.servers import free_ports

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def inbox(settings) -> Iterator[Inbox]:
    with smtp_server(settings) as inbox:
        yield inbox


def adhoc(address: str) -> dict[str, object]:
    return {"user": {"type": "email", "login": address}}


def target(*recipients: dict[str, object], message: str = "", **options: object) -> Target:
    found = check_recipients("recipients", list(recipients))
    return Target(options=CARRIER.check("options", options), email={"recipients": found, "message": message})


def test_users_groups_and_addresses_get_a_mail_of_their_own_with_the_links(inbox, alice, bob, charlie) -> None:
    group = Group.objects.create(name="press")
    group.user_set.add(bob, charlie)
    nobody = User.objects.create_user("nobody")
    reports = Reports()
    CARRIER.deliver(
        target(
            {"user": {"_id": alice.pk}},
            {"group": {"_id": group.pk}},
            {"user": {"_id": bob.pk}},
            {"user": {"_id": nobody.pk}},
            adhoc("john@example.com"),
            message="Hello <b>you</b>",
        ),
        Parcel({"press.zip": b"x" * 2048}),
        reports,
    )
    assert inbox.to == ["alice@example.org", "bob@example.org", "charlie@example.org", "john@example.com"]
    assert any("no address and was skipped" in line for line in reports.lines)
    for address, message in inbox.mails:
        assert message["To"] == address and message["Subject"] == "Export: press"
        text, html = (message.get_body((kind,)).get_content() for kind in ("plain", "html"))
        assert "https://exports.example.org/press.zip" in text and "press.zip (2.0 KB)" in text
        assert "Hello <b>you</b>" in text and "Hello &lt;b&gt;you&lt;/b&gt;" in html
        assert list(message.iter_attachments()) == []


def test_small_archives_are_attached_where_asked_for_and_large_ones_are_not(inbox, settings) -> None:
    settings.EMAIL_ATTACH_LIMIT = 1000
    CARRIER.deliver(target(adhoc("a@example.org"), attach=True), Parcel({"press.zip": b"z" * 1000}), Reports())
    CARRIER.deliver(target(adhoc("b@example.org"), attach=True), Parcel({"press.zip": b"z" * 1001}), Reports())
    (_, small), (_, large) = inbox.mails
    assert [(part.get_filename(), part.get_content()) for part in small.iter_attachments()] == [
        ("press.zip", b"z" * 1000)
    ]
    assert list(large.iter_attachments()) == []
    assert "https://exports.example.org/press.zip" in large.get_body(("plain",)).get_content()


def test_a_second_try_tells_nobody_twice(inbox) -> None:
    inbox.refusals["b@example.org"] = "451 try again later"
    reports, wanted = Reports(), target(adhoc("a@example.org"), adhoc("b@example.org"))
    with pytest.raises(TransportError) as caught:
        CARRIER.deliver(wanted, Parcel({}), reports)
    assert not caught.value.permanent
    inbox.refusals.clear()
    CARRIER.deliver(wanted, Parcel({}), reports)
    assert inbox.to == ["a@example.org", "b@example.org"]


def test_an_address_that_is_refused_for_good_does_not_keep_the_others_from_theirs(inbox) -> None:
    inbox.refusals["gone@example.org"] = "550 no such mailbox"
    with pytest.raises(TransportError, match="no such mailbox") as caught:
        CARRIER.deliver(target(adhoc("gone@example.org"), adhoc("b@example.org")), Parcel({}), Reports())
    assert caught.value.permanent
    assert inbox.to == ["b@example.org"]


def test_without_any_address_it_has_failed(inbox) -> None:
    nobody = User.objects.create_user("nobody")
    with pytest.raises(TransportError, match="None of the recipients") as caught:
        CARRIER.deliver(target({"user": {"_id": nobody.pk}}), Parcel({}), Reports())
    assert caught.value.permanent
    assert inbox.mails == []


def test_a_mail_server_that_is_away_is_transient(settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_ports()[0]
    with pytest.raises(TransportError) as caught:
        CARRIER.deliver(target(adhoc("a@example.org")), Parcel({}), Reports())
    assert not caught.value.permanent


def test_the_name_of_an_export_cannot_add_a_header(inbox) -> None:
    CARRIER.deliver(target(adhoc("a@example.org")), Parcel({}, name="x\r\nBcc: b@example.org"), Reports())
    [(address, message)] = inbox.mails
    assert (address, message["Subject"], message["Bcc"]) == ("a@example.org", "Export: x Bcc: b@example.org", None)


def test_the_canary_proves_that_the_server_takes_mail(inbox) -> None:
    CARRIER.canary(target(adhoc("a@example.org")), Reports())
    assert [(address, message["Subject"]) for address, message in inbox.mails] == [
        ("a@example.org", "Test of an export's mail")
    ]


@pytest.mark.parametrize(
    ("recipients", "fault"),
    [
        ("a@example.org", "type_mismatch"),
        (["a@example.org"], "type_mismatch"),
        ([{}], "invalid_value"),
        ([{"user": {"_id": "1"}}], "invalid_value"),
        ([{"user": {"_id": True}}], "invalid_value"),
        ([{"user": {"type": "email", "login": "nonsense"}}], "invalid_value"),
        ([{"user": {"type": "email", "login": "a@example.org\r\nBcc: b@example.org"}}], "invalid_value"),
        ([{"user": {"_id": 1}}] * 1001, "invalid_value"),
    ],
)
def test_recipients_that_cannot_be_are_refused(recipients: object, fault: str) -> None:
    with pytest.raises(DefinitionRefused) as caught:
        check_recipients("email.recipients", recipients)
    assert caught.value.params["fault"] == fault


def test_each_recipient_reads_it_in_a_language_of_their_own(inbox, alice, bob) -> None:
    """`spec/v1.md §9.4`: an address may come with its `frontend_language`."""
    Preference.objects.create(user=alice, language="de")
    german, french = adhoc("c@example.org"), adhoc("d@example.org")
    german["user"]["frontend_language"], french["user"]["frontend_language"] = "de-AT", "fr-FR"
    group = Group.objects.create(name="press")
    group.user_set.add(alice)
    wanted = target({"user": {"_id": bob.pk}}, {"group": {"_id": group.pk}}, german, french)
    CARRIER.deliver(wanted, Parcel({"press.zip": b"x"}), Reports())
    said = {address: message.get_body(("plain",)).get_content().splitlines()[0] for address, message in inbox.mails}
    english, other = "The export “press” is ready.", "Der Export „press“ ist bereit."
    assert said == {
        "bob@example.org": english, "alice@example.org": other, "c@example.org": other, "d@example.org": english
    }  # fmt: skip
    CARRIER.canary(target({"user": {"_id": alice.pk}}), Reports())
    assert inbox.mails[-1][1]["Subject"] == "Test der Mail eines Exports"
