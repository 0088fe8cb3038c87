"""Offers a run's archives by passkey; nothing is sent but a mail with the links, if somebody wants one (§9.3)."""

from collections.abc import Mapping

from exports.transports.email import EmailCarrier


class DownloadCarrier(EmailCarrier):
    """No options: what came along (perhaps another transport's password) is not kept."""

    def check(self, attribute: str, options: Mapping[str, object]) -> dict[str, object]:
        return {}


CARRIER = DownloadCarrier()
