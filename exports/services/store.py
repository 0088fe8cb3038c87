"""Where runs keep their files: pack files under `runs/`, written volumes under `volumes/`."""

from pathlib import Path

from django.conf import settings

from exports.models import Run, Volume


def pack_path(run: Run) -> str:
    return str(folder("runs") / run.pack_file)


def volume_path(volume: Volume) -> str:
    return str(folder("volumes") / volume.store_file)


def folder(name: str) -> Path:
    path = Path(settings.EXPORTS_STORE) / name
    path.mkdir(parents=True, exist_ok=True)
    return path
