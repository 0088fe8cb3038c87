"""A real browser (the distribution's Chromium) on the real pages, served by a thread of this process."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles.handlers import StaticFilesHandler
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

# Playwright runs an event loop in this thread; Django would refuse its database then.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
# The middleware serves static files, as everywhere: what a live server puts before it knows no digests.
StaticFilesHandler._should_handle = lambda self, path: False

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("needs chromium (apt install chromium)")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield found
        found.close()


class Person:
    """Somebody at a browser of their own. Whatever a page complains about in the console fails the test."""

    def __init__(self, context: BrowserContext, base: str) -> None:
        self.context, self.base, self.complaints = context, base, []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def go(self, path: str) -> Page:
        self.page.goto(self.base + path)
        return self.page

    def sign_in(self, user: User) -> "Person":
        self.go("/web/sign-in")
        self.page.get_by_label("Login or e-mail").fill(user.username)
        self.page.get_by_label("Password").fill(f"{user.username}'s password")
        self.page.get_by_role("main").get_by_role("button", name="Sign in").click()
        self.page.wait_for_url("**/web/")
        return self

    def click(self, name: str, role: str = "button") -> None:
        self.page.get_by_role("main").get_by_role(role, name=name, exact=True).first.click()

    def _heard(self, message) -> None:
        if message.type in ("error", "warning") and "404 (Not Found)" not in message.text:
            self.complaints.append(message.text)


@pytest.fixture
def people(browser: Browser, live_server) -> Iterator:
    """`people(**options)` is a person with a fresh browser context; options as of Browser.new_context."""
    made: list[Person] = []

    def new(**options) -> Person:
        options = {"locale": "en-GB", "timezone_id": "Europe/Berlin", **options}
        made.append(Person(browser.new_context(**options), live_server.url))
        return made[-1]

    yield new
    for person in made:
        person.context.close()
    assert [complaint for person in made for complaint in person.complaints] == []
