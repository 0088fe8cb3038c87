"""The embedded servers at the edges: long paths, closed folders, what a crash leaves behind (dependencies.md T3-T6)."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from exportsite import embedded
from exportsite.processes import Child, StartError


@pytest.fixture
def data() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="exportsite-embedded-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def children() -> Iterator[list[Child]]:
    started: list[Child] = []
    yield started
    for child in reversed(started):
        child.stop()


def test_a_path_too_long_for_a_socket_falls_back_to_tmp(data: Path, children: list[Child]) -> None:
    deep = data / ("long" * 25)
    children.append(embedded.start_postgres(deep, "fsync=off"))
    children.append(embedded.start_redis(deep))
    assert embedded.redis_socket(deep).parent.parent == Path("/tmp")
    assert embedded.redis_socket(deep).parent.stat().st_mode & 0o066 == 0
    with psycopg.connect(embedded.database_url(deep)) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("exportsite",)
    assert redis.Redis(unix_socket_path=str(embedded.redis_socket(deep))).ping()
    shutil.rmtree(embedded.redis_socket(deep).parent)


def test_a_folder_with_a_difficult_name_is_a_folder(data: Path, children: list[Child]) -> None:
    odd = data / "sp ace é%41+"
    children.append(embedded.start_postgres(odd, "fsync=off"))
    children.append(embedded.start_redis(odd))
    with psycopg.connect(embedded.database_url(odd)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert redis.Redis.from_url(embedded.redis_url(odd)).ping()


def test_data_survives_a_killed_postgres_whose_notes_name_a_stranger(data: Path, children: list[Child]) -> None:
    """After a reboot the process numbers in postmaster.pid and beside the socket may be any program's of that user."""
    first = embedded.start_postgres(data)
    with psycopg.connect(embedded.database_url(data)) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    [lock] = (data / "pg").glob("run/**/.s.PGSQL.5432.lock")
    stranger = Child("stranger", ["sleep", "600"], user=lock.stat().st_uid)
    children.append(stranger)
    for note in (embedded.postgres_folder(data) / "postmaster.pid", lock):
        lines = note.read_text().split("\n")
        note.write_text("\n".join([str(stranger.pid), *lines[1:]]))
    children.append(embedded.start_postgres(data))
    assert stranger.poll() is None
    with psycopg.connect(embedded.database_url(data)) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_an_orphaned_postgres_is_ended_before_the_next_one_starts(data: Path, children: list[Child]) -> None:
    orphan = embedded.start_postgres(data, "fsync=off")
    children.append(orphan)
    children.append(embedded.start_postgres(data, "fsync=off"))
    assert orphan.wait(30) == 0
    with psycopg.connect(embedded.database_url(data)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_an_interrupted_first_start_leaves_no_half_cluster(data: Path, children: list[Child]) -> None:
    half = data / "pg" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    children.append(embedded.start_postgres(data, "fsync=off"))
    assert not half.exists()
    with psycopg.connect(embedded.database_url(data)) as connection:
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_nobody_gets_in_without_the_kept_password(data: Path, children: list[Child]) -> None:
    children.append(embedded.start_postgres(data, "fsync=off"))
    password = (data / "pg-password").read_text().strip()
    assert (data / "pg-password").stat().st_mode & 0o777 == 0o600
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(embedded.database_url(data).replace(password, "another"))


def test_a_server_that_cannot_start_says_why_in_a_sentence(data: Path) -> None:
    with pytest.raises(StartError, match=r"PostgreSQL did not start: .*no_such_option"):
        embedded.start_postgres(data, "no_such_option=1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give PostgreSQL to another user")
def test_as_root_closed_folders_stay_closed_and_postgres_lives_elsewhere(data: Path, children: list[Child]) -> None:
    closed = data / "closed"
    closed.mkdir(mode=0o700)
    inside = closed / "project" / "var"
    children.append(embedded.start_postgres(inside, "fsync=off"))
    home = embedded.postgres_folder(inside).parent
    try:
        assert home.parent == Path("/var/lib/exportsite")
        assert closed.stat().st_mode & 0o777 == 0o700
        with psycopg.connect(embedded.database_url(inside)) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        children.pop().stop()
        shutil.rmtree(home)


def test_a_moved_data_folder_takes_its_cluster_along(data: Path, children: list[Child]) -> None:
    first = embedded.start_postgres(data / "here", "fsync=off")
    with psycopg.connect(embedded.database_url(data / "here")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    first.stop()
    (data / "here").rename(data / "there")
    children.append(embedded.start_postgres(data / "there", "fsync=off"))
    with psycopg.connect(embedded.database_url(data / "there")) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
