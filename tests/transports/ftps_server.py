"""A process that serves FTP over explicit TLS (AUTH TLS), as most servers do; rclone speaks the implicit kind alone.

ftps_server.py <root> <host> <port> <login> <password> <certificate> <key>
"""

import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import TLS_FTPHandler
from pyftpdlib.servers import FTPServer


class Handler(TLS_FTPHandler):
    tls_control_required = True
    tls_data_required = True
    auth_failed_timeout = 0
    #: A lie that a client must not believe.
    masquerade_address = "203.0.113.9"


def main(root: str, host: str, port: str, login: str, password: str, certificate: str, key: str) -> None:
    Handler.authorizer = DummyAuthorizer()
    Handler.authorizer.add_user(login, password, root, perm="elradfmwMT")
    Handler.certfile, Handler.keyfile = certificate, key
    FTPServer((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
