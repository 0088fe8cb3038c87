"""FTP over TLS under its own name; see `ftp`."""

from exports.transports.ftp import FTPCarrier


class FTPSCarrier(FTPCarrier):
    schemes = ("ftps",)


CARRIER = FTPSCarrier()
