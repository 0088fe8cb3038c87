"""Where runs keep their files: pack files under `runs/`, written volumes under `volumes/`."""

import shutil
from pathlib import Path

from django.conf import settings

from exports.models import Run, Volume


def pack_path(run: Run) -> str:
    return str(folder("runs") / run.pack_file)


def volume_path(volume: Volume) -> str:
    return str(folder("volumes") / volume.store_file)


def remove(*, run_id: int, pack_file: str) -> None:
    """All files of one run. Harmless when there are none."""
    if pack_file:
        (folder("runs") / pack_file).unlink(missing_ok=True)
    shutil.rmtree(folder("volumes") / str(run_id), ignore_errors=True)


def folder(name: str) -> Path:
    path = Path(settings.EXPORTS_STORE) / name
    path.mkdir(parents=True, exist_ok=True)
    return path
