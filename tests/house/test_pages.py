"""The page that browsers are led to when a download fails explains it, without any script being run."""

import pytest
from django.test import Client

from exports.api.v1.errors import REDIRECT_KEYS


@pytest.mark.parametrize("key", sorted({*REDIRECT_KEYS.values(), "export.generic"}))
def test_every_redirected_error_has_a_section_of_its_own(key: str, client: Client) -> None:
    """spec/v1.md §3.3: `Location: /#server_error:<localization key>`; the fragment is the section's id."""
    page = client.get("/").content.decode()
    assert page.count(f'id="server_error:{key}"') == 1
    assert "<script>" not in page
