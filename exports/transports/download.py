"""Offers a run's archives by passkey; nothing is sent anywhere (`spec/v1.md §9.3`)."""


def options_kept(options: dict[str, object]) -> dict[str, object]:
    """A download has no options: what came along (perhaps another transport's password) is not kept."""
    return {}
