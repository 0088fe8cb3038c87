"""What somebody wants of us."""

import pytest
from django.contrib.auth.models import User

from exports import selectors
from exports.errors import DefinitionRefused
from exports.models import Notify, Preference
from exports.services.preferences import preference_update

pytestmark = pytest.mark.django_db


def test_who_never_said_anything_has_the_defaults(alice: User) -> None:
    found = selectors.preference_get(user=alice)
    assert (found.notify, found.timezone, found.language) == (Notify.ALL, "", "")
    assert not Preference.objects.exists()


def test_what_is_not_said_stays(alice: User, bob: User) -> None:
    preference_update(user=alice, notify="none", timezone="Europe/Berlin", language="pt-br")
    preference_update(user=alice, timezone="")
    found = selectors.preference_get(user=alice)
    assert (found.notify, found.timezone, found.language) == ("none", "", "pt-br")
    assert selectors.preference_get(user=bob).notify == "all"


@pytest.mark.parametrize(
    "wrong", [{"notify": "sometimes"}, {"timezone": "Mars/Olympus"}, {"language": "german please"}, {"language": "D"}]
)
def test_what_cannot_be_is_refused_and_changes_nothing(alice: User, wrong: dict[str, str]) -> None:
    preference_update(user=alice, notify="problems", timezone="Europe/Berlin", language="de")
    with pytest.raises(DefinitionRefused):
        preference_update(user=alice, **{"notify": "none", **wrong})
    found = selectors.preference_get(user=alice)
    assert (found.notify, found.timezone, found.language) == ("problems", "Europe/Berlin", "de")
