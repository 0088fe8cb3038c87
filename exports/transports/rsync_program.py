"""The program rsync: its command lines, made of fields and never of a user's text, and what its exit codes mean."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from exports.transports.base import Progress, Target, TransportError, safe_name
from exports.transports.servers import place, timeout

if TYPE_CHECKING:
    from exports.transports.rsync import Destination

#: Exit codes that another try may change: greetings, sockets, streams, timeouts, full disks, and 255 of ssh.
_TRANSIENT = frozenset({5, 10, 11, 12, 13, 14, 22, 23, 24, 30, 35, 255})
#: What ssh and rsync write when another try is in vain, whatever the exit code says.
_PERMANENT = (
    "auth failed",
    "Unknown module",
    "Permission denied",
    "Host key verification failed",
    "read only",
    "could not make way",
    "No such file or directory",
)
_ALIAS = "exportsite-target"
POLL_SECONDS = 0.5
#: Where rsync and ssh are looked for; nothing else of our environment, which holds secrets, is handed on.
PATH = "/usr/local/bin:/usr/bin:/bin"


class Program:
    """Command lines for one destination, whose host is resolved once. Holds its keys in a folder while it is open."""

    def __init__(self, destination: "Destination", target: Target) -> None:
        found = shutil.which("rsync", path=PATH)
        if found is None:
            raise TransportError("rsync is not installed where this worker runs.", permanent=True)
        self._destination = destination
        self._address = place(destination.host, destination.port).addresses[0]
        self._keys = tempfile.TemporaryDirectory(prefix="exportsite-keys-")
        self._base = [found, "--recursive", "--times", "--copy-links", "--secluded-args", "--no-motd"]
        # Not size and time alone: content of the same size, written within the same second, would be skipped.
        self._base += ["--checksum", f"--timeout={int(timeout()) or 1}"]
        self.environment = {"PATH": PATH, "LC_ALL": "C.UTF-8"}
        if destination.kind == "ssh":
            self._base += ["-e", shlex.join(self._ssh(target))]
        else:
            self._base += [f"--contimeout={int(timeout()) or 1}"]
            # Without one, rsync would ask on a terminal.
            self.environment["RSYNC_PASSWORD"] = target.secret("password")

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        self._keys.cleanup()

    def push(self, spool: Path, folder: str, options: list[str]) -> list[str]:
        return [*self._base, "--mkpath", *options, "--", f"{spool}/", self._remote(folder)]

    def prune(self, names: Path, folder: str) -> list[str]:
        """Delete what is not in `names`, and send nothing."""
        options = ["--delete", "--existing", "--ignore-existing"]
        return [*self._base, *options, "--", f"{names}/", self._remote(folder)]

    def pull(self, name: str, to: Path) -> list[str]:
        return [*self._base, "--", self._remote("") + name, f"{to}/"]

    def delete(self, name: str, nothing: Path) -> list[str]:
        # A backslash quotes only in a pattern that has something to quote.
        pattern = re.sub(r"([*?\[\\])", r"\\\1", name) if re.search(r"[*?\[]", name) else name
        options = ["--delete", f"--include=/{pattern}", "--exclude=*"]
        return [*self._base, *options, "--", f"{nothing}/", self._remote("")]

    def _remote(self, folder: str) -> str:
        kind, user, _, port, path = self._destination
        host = f"[{self._address}]" if ":" in self._address else self._address
        login = f"{user}@" if user else ""
        inner = safe_name(folder.rstrip("/")) + "/" if folder else ""
        if kind == "daemon":
            return f"rsync://{login}{host}:{port}/{path}/{inner}"
        outer = path if path.endswith("/") or not path else path + "/"
        return f"{login}{host}:{outer}{inner}" if outer or inner else f"{login}{host}:./"

    def _ssh(self, target: Target) -> list[str]:
        keys = Path(self._keys.name)
        host_key = target.text("host_key")
        (keys / "known_hosts").write_text(f"{_ALIAS} {host_key}\n")
        identity = keys / "identity"
        identity.touch(mode=0o600)
        identity.write_text(target.secret("private_key").rstrip() + "\n")
        kind = host_key.partition(" ")[0]
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": keys / "known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlias": _ALIAS,
            "HostKeyAlgorithms": "rsa-sha2-512,rsa-sha2-256" if kind == "ssh-rsa" else kind,
            "CheckHostIP": "no",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "ConnectTimeout": int(timeout()) or 1,
            "ServerAliveInterval": int(timeout()) or 1,
            "LogLevel": "ERROR",
        }
        program = ["ssh", "-F", "/dev/null", "-i", str(identity), "-p", str(self._destination.port)]
        return [*program, *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]


def run(command: list[str], program: Program, progress: Progress) -> None:
    """Raises TransportError with the last line that rsync wrote, or what `progress` raised; then rsync is dead."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            env=program.environment,
            start_new_session=True,
        )
        try:
            code = _wait(process, progress)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        if code:
            raise _failure(code, output)


def _wait(process: "subprocess.Popen[bytes]", progress: Progress) -> int:
    while True:
        try:
            return process.wait(timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            progress.tick(0)


def _failure(code: int, output: IO[bytes]) -> TransportError:
    output.seek(0)
    lines = [" ".join(line.split()) for line in output.read(64 * 1024).decode(errors="replace").splitlines()]
    told = [line for line in lines if line and not line.startswith("rsync error:")] or lines or ["no reason given"]
    signs = [line for line in told if any(sign in line for sign in _PERMANENT)]
    text = "; ".join((signs or told)[:3])[:400]
    permanent = code not in _TRANSIENT or any(sign in text for sign in _PERMANENT)
    return TransportError(f"rsync ended with {code}: {text}", permanent=permanent)
