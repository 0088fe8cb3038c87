"""SFTP. The server has to show the host key that the transport names; nothing is trusted at first sight."""

import base64
import hashlib
import hmac
import io
import logging
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

import paramiko

from exports.transports.base import Target, TransportError, option_flag, option_folder, option_text, refused
from exports.transports.remote import Remote, RemoteCarrier
from exports.transports.servers import Server, dial, parse, reason, server_option, timeout

logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it logs a traceback of what it raises as well

CHUNK = 64 * 1024
#: What SFTP servers take in one write, all of them.
WRITE = 32 * 1024
_KEYS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")


def check(attribute: str, options: Mapping[str, object], schemes: tuple[str, ...]) -> dict[str, object]:
    server_option(attribute, options, schemes)
    return {
        "server": option_text(attribute, options, "server"),
        "directory": option_folder(attribute, options, "directory"),
        "login": option_text(attribute, options, "login"),
        "host_key": host_key_option(attribute, options),
        "verify": option_flag(attribute, options, "verify"),
    }


def host_key_option(attribute: str, options: Mapping[str, object]) -> str:
    """A line of known_hosts without the host ("ssh-ed25519 AAAA…"), or "SHA256:…"; "" when absent."""
    value = option_text(attribute, options, "host_key")
    if value and not value.startswith("SHA256:"):
        kind, _, rest = value.partition(" ")
        if kind not in _KEYS or not _is_key(kind, rest.partition(" ")[0]):
            raise refused(f"{attribute}.host_key", "is neither like 'ssh-ed25519 AAAA…' nor like 'SHA256:…'")
        return f"{kind} {rest.partition(' ')[0]}"
    return value


def _is_key(kind: str, encoded: str) -> bool:
    try:
        data = base64.b64decode(encoded, validate=True)
    except ValueError:
        return False
    return data[4 : 4 + len(kind)] == kind.encode()


class SFTPCarrier(RemoteCarrier):
    """Options: server, directory, login, host_key; password, private_key, passphrase (secret); verify."""

    secrets = frozenset({"password", "private_key", "passphrase"})
    schemes: tuple[str, ...] = ("sftp",)

    def check(self, attribute: str, options: Mapping[str, object]) -> dict[str, object]:
        return check(attribute, options, self.schemes)

    def open(self, target: Target) -> Remote:
        return SFTPRemote(parse("server", target.text("server"), self.schemes), target)


class SFTPRemote(Remote):
    def __init__(self, server: Server, target: Target) -> None:
        if not target.text("login") or not (target.secret("password") or target.secret("private_key")):
            raise TransportError("Login or password is missing.", permanent=True)
        sock = dial(server.host, server.port)
        try:
            with faults(f"connect to {server.host}"):
                self._transport = paramiko.Transport(sock)
                self._transport.banner_timeout = self._transport.auth_timeout = timeout()
                self._begin(target)
                self._sftp = paramiko.SFTPClient.from_transport(self._transport, max_packet_size=WRITE)
                self._sftp.get_channel().settimeout(timeout())
        except BaseException:
            if hasattr(self, "_transport"):
                self._transport.close()
            sock.close()
            raise

    def _begin(self, target: Target) -> None:
        """No credential leaves before the host key was compared."""
        expected = target.text("host_key")
        kind = expected.partition(" ")[0]
        if kind in _KEYS:  # the server may have several keys: ask for the one we know
            wanted = ("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,)
            self._transport.get_security_options().key_types = wanted
        self._transport.start_client(timeout=timeout())
        shown = self._transport.get_remote_server_key()
        require_key(expected, shown.get_name(), shown.asbytes())
        if target.secret("private_key"):
            self._transport.auth_publickey(target.text("login"), private_key(target))
        else:
            self._transport.auth_password(target.text("login"), target.secret("password"))

    def close(self) -> None:
        self._transport.close()

    def upload(self, path: str, length: int, chunks: Iterable[bytes]) -> None:
        with faults(f"write {path}"), self._sftp.open(path, "wb") as file:
            file.set_pipelined(True)
            for chunk in chunks:
                file.write(chunk)

    def size(self, path: str) -> int | None:
        with faults(f"ask for the size of {path}"):
            return self._sftp.stat(path).st_size

    def read(self, path: str) -> Iterator[bytes]:
        with faults(f"read {path}"), self._sftp.open(path, "rb") as file:
            file.prefetch()
            while chunk := file.read(CHUNK):
                yield chunk

    def rename(self, old: str, new: str) -> None:
        with faults(f"rename {old}"):
            try:
                self._sftp.posix_rename(old, new)
            except OSError:
                if self._is_folder(new):
                    raise TransportError(f"Cannot rename {old}: {new} is a folder", permanent=True) from None
                # Servers without the extension rename onto no existing file.
                with suppress(FileNotFoundError):
                    self._sftp.remove(new)
                self._sftp.rename(old, new)

    def remove(self, path: str) -> None:
        with faults(f"delete {path}"), suppress(FileNotFoundError):
            self._sftp.remove(path)

    def make_folder(self, path: str) -> None:
        with faults(f"make {path}"):
            parts = path.split("/")
            for count in range(1, len(parts) + 1):
                folder = "/".join(parts[:count])
                if folder and not self._is_folder(folder):
                    self._sftp.mkdir(folder)

    def remove_folder(self, path: str) -> None:
        with faults(f"delete {path}"), suppress(FileNotFoundError):
            self._sftp.rmdir(path)

    def listing(self, path: str) -> Iterator[tuple[str, bool]]:
        with faults(f"list {path}"):
            for found in self._sftp.listdir_iter(path.rstrip("/") or "/"):
                yield found.filename, stat.S_ISDIR(found.st_mode or 0)

    def _is_folder(self, path: str) -> bool:
        try:
            return stat.S_ISDIR(self._sftp.stat(path).st_mode or 0)
        except FileNotFoundError:
            return False


def require_key(expected: str, kind: str, key: bytes) -> None:
    """Raises TransportError, with the fingerprint that was shown, unless it is the expected one."""
    shown = "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
    if not expected:
        raise TransportError(
            f"The host key is not known. The server showed {kind} {shown}: if that is right, put it into host_key.",
            permanent=True,
        )
    ours = shown if expected.startswith("SHA256:") else f"{kind} {base64.b64encode(key).decode()}"
    if not hmac.compare_digest(ours, expected):
        raise TransportError(f"The host key is not the expected one: the server showed {kind} {shown}.", permanent=True)


def private_key(target: Target) -> paramiko.PKey:
    text, passphrase = target.secret("private_key"), target.secret("passphrase") or None
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        with suppress(paramiko.SSHException, ValueError):
            return kind.from_private_key(io.StringIO(text), passphrase)
    raise TransportError("The private key cannot be read, or its passphrase is wrong.", permanent=True)


@contextmanager
def faults(doing: str) -> Iterator[None]:
    try:
        yield
    except paramiko.BadAuthenticationType as error:
        allowed = ", ".join(error.allowed_types)
        raise TransportError(f"Cannot {doing}: the server wants one of {allowed}.", permanent=True) from error
    except paramiko.AuthenticationException as error:
        raise TransportError(f"Cannot {doing}: login or password is wrong.", permanent=True) from error
    except paramiko.ssh_exception.IncompatiblePeer as error:
        raise TransportError(f"Cannot {doing}: the server has no such host key.", permanent=True) from error
    except (PermissionError, FileNotFoundError) as error:
        raise TransportError(f"Cannot {doing}: {reason(error)}", permanent=True) from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise TransportError(f"Cannot {doing}: {reason(error)}", permanent=False) from error


CARRIER = SFTPCarrier()
