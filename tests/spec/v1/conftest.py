import pytest
from django.contrib.auth.models import User

from tests.clients import V1


@pytest.fixture
def as_alice(alice: User) -> V1:
    return V1(alice)


@pytest.fixture
def as_bob(bob: User) -> V1:
    return V1(bob)


@pytest.fixture
def as_charlie(charlie: User) -> V1:
    return V1(charlie)


@pytest.fixture
def as_root(db: None) -> V1:
    return V1(User.objects.create_superuser("root", "root@example.org", "root's password"))


@pytest.fixture
def as_nobody(db: None) -> V1:
    return V1()
