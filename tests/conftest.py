"""What every test may ask for. Alice owns, Bob may, Charlie must not."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import TransactionTestCase

from tests import emptying


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that may take longest come first: of one that begins last all other processes would wait for the end."""
    items.sort(key=lambda item: -max((mark.args[0] for mark in item.iter_markers("timeout")), default=0))


def pytest_collection_finish() -> None:
    """All those modules and tests stay: the garbage collector need not walk through them again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def quick_emptying() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        truncate = TransactionTestCase._fixture_teardown
        patch.setattr(TransactionTestCase, "_fixture_teardown", emptying.quick(truncate))
        yield


@pytest.fixture(autouse=True)
def store(settings, tmp_path: Path) -> Path:
    """An empty store of the test's own."""
    settings.EXPORTS_STORE = tmp_path / "store"
    settings.EXPORTS_STORE.mkdir()
    return settings.EXPORTS_STORE


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    """Counted logins of one test must not lock out the next."""
    yield
    cache.clear()


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice", "alice@example.org", "alice's password")


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob", "bob@example.org", "bob's password")


@pytest.fixture
def charlie(db: None) -> User:
    return User.objects.create_user("charlie", "charlie@example.org", "charlie's password")


@pytest.fixture
def process_env(store: Path, db: None) -> dict[str, str]:
    """Environment for a process (worker, server, command) that shall work on this test's database and store.

    What it shall see must be committed: use `django_db(transaction=True)`.
    """
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path="/" + quote(connection.settings_dict["NAME"]))
    return {**os.environ, "DATABASE_URL": url.geturl(), "EXPORTS_STORE": str(store)}
