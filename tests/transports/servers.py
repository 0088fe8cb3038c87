"""Real servers for the transports, each on 127.0.0.2; who wants to disturb them goes through a `Proxy` on 127.0.0.1."""

import contextlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

HIDDEN = "127.0.0.2"
SHOWN = "127.0.0.1"
LOGIN, PASSWORD = "alice", "hunter2"
ACCESS_KEY, SECRET_KEY = "ALICESKEY1", "hunter2-hunter2-hunter2"
RCLONE = Path(sysconfig.get_path("scripts")) / "rclone"
DEADLINE = 15


class Proxy:
    """Passes connections on from 127.0.0.1 to 127.0.0.2, the same ports. `cut` resets all of them, `stall` passes
    nothing on any more; `heal` makes new ones pass again. Counts connections."""

    def __init__(self, ports: list[int]) -> None:
        self.connections = 0
        self._broken = ""
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listeners = [socket.create_server((SHOWN, port)) for port in ports]
        for listener in self._listeners:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        self._broken = "cut"
        for pair in self._pairs:
            for each in pair:
                with contextlib.suppress(OSError):
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    each.shutdown(socket.SHUT_RDWR)
                each.close()

    def stall(self) -> None:
        self._broken = "stall"

    def heal(self) -> None:
        self._broken = ""
        for pair in self._pairs:
            for each in pair:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def close(self) -> None:
        self.cut()
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            if self._broken == "cut":
                near.close()
                continue
            try:
                far = socket.create_connection((HIDDEN, listener.getsockname()[1]))
            except OSError:
                near.close()
                continue
            self._pairs.append((near, far))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(64 * 1024):
                if self._broken == "stall":
                    return
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            for each in (one, other):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


class Breaker:
    """As `Proxy`, for a server whose connections cannot be proxied one by one (FTP): the server itself is killed,
    stopped, and started again. Its main port is proxied, to count connections, unless it is shown itself."""

    def __init__(self, command: list[object], port: int, log: Path, host: str = HIDDEN) -> None:
        self._command, self._log, self._at = [str(part) for part in command], log, (host, port)
        self._start()
        self._proxy = Proxy([port] if host == HIDDEN else [])

    @property
    def connections(self) -> int:
        return self._proxy.connections

    def cut(self) -> None:
        self._child.kill()
        self._child.wait()
        self._proxy.cut()

    def stall(self) -> None:
        self._child.send_signal(signal.SIGSTOP)

    def heal(self) -> None:
        self._child.send_signal(signal.SIGCONT)
        self._proxy.heal()
        if self._child.poll() is not None:
            self._start()

    def close(self) -> None:
        self._proxy.close()
        self._child.kill()
        self._child.wait()

    def _start(self) -> None:
        with self._log.open("ab") as output:
            self._child = subprocess.Popen(self._command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        wait_for(*self._at, self._child, self._log)


@dataclass
class Place:
    """Where a transport may lead to: a running server and how to reach it through the proxy."""

    type: str
    #: What arrives, as files.
    root: Path
    options: dict[str, object]
    secrets: dict[str, str]
    proxy: "Proxy | Breaker"
    #: The same options with other addresses, for what has no port in `server`.
    at_port: Callable[[int], dict[str, object]]
    wrong: dict[str, str] = field(default_factory=dict)


def free_ports(count: int = 1) -> list[int]:
    """Free on both addresses, one after another."""
    while True:
        with contextlib.ExitStack() as held, contextlib.suppress(OSError, OverflowError):
            first = held.enter_context(socket.create_server((SHOWN, 0))).getsockname()[1]
            for port in range(first, first + count):
                held.enter_context(socket.create_server((HIDDEN, port)))
                if port > first:
                    held.enter_context(socket.create_server((SHOWN, port)))
            return list(range(first, first + count))


@contextlib.contextmanager
def process(command: list[object], port: int, log: Path, host: str = HIDDEN) -> Iterator[None]:
    with log.open("wb") as output:
        child = subprocess.Popen(
            [str(part) for part in command], stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
        try:
            wait_for(host, port, child, log)
            yield
        finally:
            child.kill()
            child.wait()


def wait_for(host: str, port: int, child: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + DEADLINE
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection((host, port), 1).close()
            return
        assert child.poll() is None and time.monotonic() < until, log.read_text()
        time.sleep(0.02)


@contextlib.contextmanager
def rclone(kind: str, folder: Path, *arguments: object, ports: int = 1) -> Iterator[tuple[Path, list[int]]]:
    """(what it serves, its ports). `{0}`, `{1}` in arguments are ports."""
    root = folder / "root"
    root.mkdir(parents=True)
    found = free_ports(ports)
    given = [str(argument).format(*found) for argument in arguments]
    command = [RCLONE, "serve", kind, root, "--config", "/dev/null", "--addr", f"{HIDDEN}:{found[0]}"]
    with process([*command, "--vfs-cache-mode", "off", *given], found[0], folder / "log"):
        yield root, found


@contextlib.contextmanager
def ftp(folder: Path, *arguments: object) -> Iterator[tuple[Path, int, Breaker]]:
    root = folder / "root"
    root.mkdir(parents=True)
    ports = free_ports(31)
    command = [RCLONE, "serve", "ftp", root, "--config", "/dev/null", "--addr", f"{HIDDEN}:{ports[0]}"]
    passive = ["--passive-port", f"{ports[1]}-{ports[-1]}", "--public-ip", "203.0.113.9"]
    breaker = Breaker([*command, *passive, "--user", LOGIN, "--pass", PASSWORD, *arguments], ports[0], folder / "log")
    try:
        yield root, ports[0], breaker
    finally:
        breaker.close()


@contextlib.contextmanager
def ftps(folder: Path, cert: Path, key: Path) -> Iterator[tuple[Path, int, Breaker]]:
    root = folder / "root"
    root.mkdir(parents=True)
    port = free_ports()[0]
    program = Path(__file__).with_name("ftps_server.py")
    command = [sys.executable, program, root, SHOWN, port, LOGIN, PASSWORD, cert, key]
    breaker = Breaker(command, port, folder / "log", SHOWN)  # its data ports are where its main port is
    try:
        yield root, port, breaker
    finally:
        breaker.close()


@contextlib.contextmanager
def sshd(folder: Path) -> Iterator[tuple[int, str, Path]]:
    """(port, host key, private key that opens it)."""
    port = free_ports()[0]
    keys = folder / "keys"
    keys.mkdir(parents=True)
    for name in ("host", "user", "stranger"):
        make_key(keys / name)
    Path("/run/sshd").mkdir(exist_ok=True)
    config = folder / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress {HIDDEN}\nHostKey {keys}/host\nAuthorizedKeysFile {keys}/user.pub\n"
        f"PidFile none\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n"
        f"PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\nMaxStartups 100\n"
    )
    with process(["/usr/sbin/sshd", "-D", "-e", "-f", config], port, folder / "log"):
        yield port, public(keys / "host"), keys / "user"


def make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)


def public(path: Path) -> str:
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


@contextlib.contextmanager
def rsync_daemon(folder: Path) -> Iterator[tuple[Path, int]]:
    root = folder / "root"
    root.mkdir(parents=True)
    port = free_ports()[0]
    passwords = folder / "passwords"
    passwords.touch(mode=0o600)
    passwords.write_text(f"{LOGIN}:{PASSWORD}\n")
    config = folder / "rsyncd.conf"
    config.write_text(
        f"use chroot = no\n[files]\npath = {root}\nread only = no\nauth users = {LOGIN}\nsecrets file = {passwords}\n"
        f"uid = {'root' if is_root() else ''}\ngid = {'root' if is_root() else ''}\n"
    )
    command = ["rsync", "--daemon", "--no-detach", f"--config={config}", f"--port={port}", f"--address={HIDDEN}"]
    with process(command, port, folder / "log"):
        yield root, port


def certificate(folder: Path) -> tuple[Path, Path]:
    """(certificate, key) of 127.0.0.1, signed by itself."""
    folder.mkdir(parents=True, exist_ok=True)
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", f"subjectAltName=IP:{SHOWN}", "-days", "2"]
    subprocess.run([*command, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def is_root() -> bool:
    import os

    return os.geteuid() == 0


def missing(*programs: str) -> str:
    """Why a test cannot run here, or ""."""
    absent = [name for name in programs if not (shutil.which(name) or Path("/usr/sbin", name).exists())]
    return f"{', '.join(absent)} not installed" if absent else ""
