"""Static files are served from where pip left them, under names with their digest: browsers keep them for ever, and
what changed has another name. No collectstatic to forget."""

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage
from whitenoise.middleware import WhiteNoiseMiddleware


@cache
def digested(name: str) -> str:
    """`web/app.css` → `web/app.3f2a90c1d4e5.css`, as Django's own storages write it; unknown names stay."""
    path = finders.find(name)
    stem, dot, suffix = name.rpartition(".")
    if path is None or not dot or not Path(path).is_file():
        return name
    return f"{stem}.{hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]}.{suffix}"


class DigestStorage(StaticFilesStorage):
    def url(self, name: str | None) -> str:
        return super().url(digested(name) if name else name)


class DigestMiddleware(WhiteNoiseMiddleware):
    """Knows each file by both names: references inside of files use the plain one, which browsers keep for an hour."""

    def add_file_to_dictionary(self, url: str, path: str, **options: Any) -> None:
        super().add_file_to_dictionary(url, path, **options)
        if url.startswith(self.static_prefix):
            known = self.static_prefix + digested(url.removeprefix(self.static_prefix))
            super().add_file_to_dictionary(known, path, **options)

    def candidate_paths_for_url(self, url: str) -> Iterator[str]:
        """With DEBUG alone: files are looked for when they are asked for."""
        plain = self.get_name_without_hash(url.removeprefix(self.static_prefix))
        if digested(plain) == url.removeprefix(self.static_prefix):
            yield from super().candidate_paths_for_url(self.static_prefix + plain)
        yield from super().candidate_paths_for_url(url)
