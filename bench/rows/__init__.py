"""The rows: name → (what it measures, where). Each is `f(bench) -> list[Result]`, imported when it is wanted."""

from collections.abc import Callable
from importlib import import_module

ROWS: dict[str, tuple[str, str]] = {
    "ingest-s": ("load S: hash, CRC, sample, deflate, write, rows", "ingest:ingest_s"),
    "ingest-t": ("load T: hash, CRC, sample, deflate, write, rows", "ingest:ingest_t"),
    "engine-zip-s": ("ZIP of S from sealed plan to verified volume", "engine:zip_s"),
    "engine-zip-t": ("ZIP of T", "engine:zip_t"),
    "engine-zip-l": ("ZIP of L", "engine:zip_l"),
    "engine-zip-m": ("ZIP of M", "engine:zip_m"),
    "engine-targz-s": ("TAR.GZ of S", "engine:targz_s"),
    "engine-targz-t": ("TAR.GZ of T", "engine:targz_t"),
    "engine-tar-s": ("TAR of S", "engine:tar_s"),
    "run-s": ("run of S from start to done", "runs:run_s"),
    "second-run": ("second run of unchanged content", "runs:second_run"),
    "documents": ("documents frozen and packed as JSON lines", "documents:documents"),
    "search": ("searches that find some hundred documents", "search:search"),
    "manifest": ("manifest rows by COPY", "documents:manifest_rows"),
    "http-zip": ("on-the-fly ZIP over HTTP from one web process", "http:download"),
    "http-ranges": ("first byte of random ranges", "http:ranges"),
    "memory-bytes": ("peak memory of a worker: many bytes", "memory:many_bytes"),
    "memory-entries": ("peak memory of a worker: many entries", "memory:many_entries"),
    "growth": ("engine time per entry as archives grow", "growth:growth"),
}


def find(name: str) -> Callable:
    module, function = ROWS[name][1].split(":")
    return getattr(import_module(f"bench.rows.{module}"), function)
