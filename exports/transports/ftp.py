"""FTP and FTPS (`spec/v1.md §9.6`). With a server `sftp://…` the type ftp speaks SFTP, as easydb's plugin does."""

import ftplib
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from exports.transports import sftp
from exports.transports.base import Target, TransportError, option_flag, option_folder, option_text, refused
from exports.transports.remote import CannotList, Remote, RemoteCarrier
from exports.transports.servers import Server, dial, parse, reason, server_option, timeout

CHUNK = 64 * 1024
#: Answers to a permanent refusal that another day may lift: no room.
_NO_ROOM = ("552",)


class FTPCarrier(RemoteCarrier):
    """Options: server, directory, login, password (secret); verify; certificate (PEM of whom FTPS trusts).

    FTPS begins in the clear and goes over to TLS before the login (AUTH TLS); the implicit kind of port 990 is not
    spoken.
    """

    secrets = sftp.SFTPCarrier.secrets
    schemes: tuple[str, ...] = ("ftp", "ftps", "sftp")

    def check(self, attribute: str, options: Mapping[str, object]) -> dict[str, object]:
        server = server_option(attribute, options, self.schemes)
        if server.scheme == "sftp":
            return sftp.check(attribute, options, self.schemes)
        certificate = option_text(attribute, options, "certificate", longest=100_000, lines=True)
        if certificate:
            trust(f"{attribute}.certificate", certificate)
        return {
            "server": option_text(attribute, options, "server"),
            "directory": option_folder(attribute, options, "directory"),
            "login": option_text(attribute, options, "login"),
            "verify": option_flag(attribute, options, "verify"),
            **({"certificate": certificate} if certificate else {}),
        }

    def open(self, target: Target) -> Remote:
        server = parse("server", target.text("server"), self.schemes)
        if server.scheme == "sftp":
            return sftp.SFTPRemote(server, target)
        return FTPRemote(server, target)


def trust(attribute: str, certificate: str) -> ssl.SSLContext:
    """A context that believes in `certificate` alone, or in what the system believes when it is ""."""
    try:
        return ssl.create_default_context(cadata=certificate or None)
    except (ssl.SSLError, ValueError) as error:
        raise refused(attribute, "is not a certificate in PEM form") from error


class _Client(ftplib.FTP):
    """Over a socket that was dialled by the guard. Data connections go to the same address, never to another."""

    encoding = "utf-8"

    def begin(self, sock: socket.socket, host: str) -> None:
        self.host, self.sock, self.af, self.timeout = host, sock, sock.family, timeout()
        self.file = sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()

    def makepasv(self) -> tuple[str, int]:
        """What PASV says of the host is not believed (CVE-2021-4189): ftplib's default, stated here."""
        self.trust_server_pasv_ipv4_address = False
        return super().makepasv()


class _TLSClient(ftplib.FTP_TLS, _Client):
    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        """Data connections resume the control connection's TLS session: most servers demand it."""
        conn, size = _Client.ntransfercmd(self, cmd, rest)
        if self._prot_p:
            conn = self.context.wrap_socket(conn, server_hostname=self.host, session=self.sock.session)
        return conn, size


class FTPRemote(Remote):
    def __init__(self, server: Server, target: Target) -> None:
        login, password = target.text("login"), target.secret("password")
        if not login or not password:
            raise TransportError("Login or password is missing.", permanent=True)
        self._ftp = _Client()
        if server.scheme == "ftps":
            self._ftp = _TLSClient(context=trust("certificate", target.text("certificate")))
        sock = dial(server.host, server.port)
        try:
            with faults(f"log in to {server.host}"):
                self._ftp.begin(sock, server.host)
                self._ftp.login(login, password)
                if isinstance(self._ftp, _TLSClient):
                    self._ftp.prot_p()
                with suppress(ftplib.error_perm):
                    self._ftp.sendcmd("OPTS UTF8 ON")
                self._ftp.voidcmd("TYPE I")
        except BaseException:
            sock.close()
            raise

    def close(self) -> None:
        try:
            self._ftp.quit()
        finally:
            self._ftp.close()

    def upload(self, path: str, length: int, chunks: Iterable[bytes]) -> None:
        def send(conn: socket.socket) -> None:
            for chunk in chunks:
                conn.sendall(chunk)

        with faults(f"write {path}"):
            self._transfer(f"STOR {path}", send)

    def size(self, path: str) -> int | None:
        try:
            with faults(f"ask for the size of {path}"):
                return self._ftp.size(path)
        except TransportError as error:
            if str(error.__cause__)[:3] in ("500", "502", "504"):
                return None
            raise

    def read(self, path: str) -> Iterator[bytes]:
        with faults(f"read {path}"):
            conn = self._ftp.transfercmd(f"RETR {path}")
            with conn:
                while chunk := conn.recv(CHUNK):
                    yield chunk
            self._ftp.voidresp()

    def rename(self, old: str, new: str) -> None:
        with faults(f"rename {old}"):
            try:
                self._ftp.rename(old, new)
            except ftplib.error_perm:
                if self._is_folder(new):  # which is not ours to move
                    raise
                self._rename_over(old, new)

    def remove(self, path: str) -> None:
        with suppress_missing(f"delete {path}"):
            self._ftp.delete(path)

    def make_folder(self, path: str) -> None:
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            folder = "/".join(parts[:count])
            if folder:
                with suppress_missing(f"make {folder}"):  # it is there, or the upload will say that it is not
                    self._ftp.mkd(folder)

    def remove_folder(self, path: str) -> None:
        with suppress_missing(f"delete {path}"):
            self._ftp.rmd(path)

    def listing(self, path: str) -> Iterator[tuple[str, bool]]:
        with faults(f"list {path}"):
            try:
                found = list(self._ftp.mlsd(path.rstrip("/") or "/"))
            except ftplib.error_perm as error:
                if str(error)[:3] in ("500", "502"):
                    raise CannotList from error
                raise
            self._ftp.voidcmd("TYPE I")  # mlsd leaves ASCII behind
        for name, facts in found:
            kind = facts.get("type", "").lower()
            if kind not in ("cdir", "pdir"):
                yield name, kind == "dir"

    def _is_folder(self, path: str) -> bool:
        here = self._ftp.pwd()
        try:
            self._ftp.cwd(path)
        except ftplib.error_perm:
            return False
        self._ftp.cwd(here)
        return True

    def _rename_over(self, old: str, new: str) -> None:
        """For servers that rename onto no existing file. One that refuses to rename as such loses nothing."""
        aside = new + ".old"
        self._ftp.rename(new, aside)
        try:
            self._ftp.rename(old, new)
        except ftplib.Error:
            self._ftp.rename(aside, new)
            raise
        self._ftp.delete(aside)

    def _transfer(self, command: str, send: Callable[[socket.socket], None]) -> None:
        conn = self._ftp.transfercmd(command)
        try:
            with conn:
                send(conn)
                if isinstance(conn, ssl.SSLSocket):
                    conn.unwrap()
        except OSError as error:
            self._explain(error)
        self._ftp.voidresp()

    def _explain(self, error: OSError) -> None:
        """The server hung up on the data connection; what it says of it on the other one is the better reason."""
        self._ftp.sock.settimeout(2)
        self._ftp.voidresp()
        raise error


@contextmanager
def faults(doing: str) -> Iterator[None]:
    try:
        yield
    except ftplib.error_perm as error:
        raise TransportError(f"Cannot {doing}: {reason(error)}", permanent=str(error)[:3] not in _NO_ROOM) from error
    except ssl.SSLCertVerificationError as error:
        raise TransportError(f"Cannot {doing}: {error.verify_message}", permanent=True) from error
    except ftplib.Error as error:  # 4xx, and answers that are none
        raise TransportError(f"Cannot {doing}: {reason(error)}", permanent=False) from error
    except (OSError, EOFError) as error:
        raise TransportError(f"Cannot {doing}: {reason(error)}", permanent=False) from error
    except ValueError as error:  # a line break in a command, an answer too long
        raise TransportError(f"Cannot {doing}: {reason(error)}", permanent=True) from error


@contextmanager
def suppress_missing(doing: str) -> Iterator[None]:
    with faults(doing), suppress(ftplib.error_perm):
        yield


CARRIER = FTPCarrier()
