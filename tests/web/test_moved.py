"""The link in a mail of the move API, opened by a person (`spec/move.md §4.12`)."""

import pytest

from tests.factories import make_cell, put_file
from tests.spec.move.asking import Move, exported, mailed, opaque_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("is_signed_in", [False, True])
def test_the_link_of_a_mail_leads_to_the_parts(alice, people, is_signed_in: bool) -> None:
    cell = make_cell(alice, "alice")
    put_file(cell, "a.txt", b"hello")
    exported(Move(alice, cell=cell, scopes=("io.cozy.exports",)))
    opaque = opaque_of(mailed())
    person = people()
    if is_signed_in:
        person.sign_in(alice)
    page = person.go(f"/#/exports/{opaque}")
    page.wait_for_url(f"**/move/downloads/{opaque}")
    assert page.get_by_role("link", name="Part 1 of 1").get_attribute("href").endswith(f"exports/data/{opaque}")
