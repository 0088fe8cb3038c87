"""WebDAV (`spec/v1.md §9.7`, C24): MKCOL, PUT beside, HEAD, MOVE."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx

from exports.transports.base import Target, TransportError, option_flag, option_folder, option_text
from exports.transports.ftp import trust
from exports.transports.http import ask, client, faults, parsed, require, url_option
from exports.transports.remote import Remote, RemoteCarrier

_DAV = "{DAV:}"
#: Names of easydb's form and of its server for the same two things (C24).
_LOGINS = ("login", "webdav_user")
PASSWORDS = ("password", "webdav_pass")


class WebDAVCarrier(RemoteCarrier):
    """Options: server (a URL, perhaps with a path), directory, login; password (secret); verify; certificate (PEM).

    Without login and password it is anonymous.
    """

    secrets = frozenset(PASSWORDS)

    def check(self, attribute: str, options: Mapping[str, object]) -> dict[str, object]:
        url_option(attribute, options, "server")
        certificate = option_text(attribute, options, "certificate", longest=100_000, lines=True)
        if certificate:
            trust(f"{attribute}.certificate", certificate)
        login = next((name for name in _LOGINS if options.get(name)), _LOGINS[0])
        return {
            "server": option_text(attribute, options, "server"),
            "directory": option_folder(attribute, options, "directory").strip("/"),
            login: option_text(attribute, options, login),
            "verify": option_flag(attribute, options, "verify"),
            **({"certificate": certificate} if certificate else {}),
        }

    def open(self, target: Target) -> Remote:
        return WebDAVRemote(target)


class WebDAVRemote(Remote):
    def __init__(self, target: Target) -> None:
        url = urlsplit(target.text("server"))
        login = next((target.text(name) for name in _LOGINS if target.text(name)), "")
        password = next((target.secret(name) for name in PASSWORDS if target.secret(name)), "")
        self._path = url.path.rstrip("/") + "/"
        self._origin = f"{url.scheme}://{url.netloc}"
        auth = (login, password) if login or password else None
        self._client = client(url, trust("certificate", target.text("certificate")), auth)
        # A wrong password is found out now, not in the middle of a PUT that the server stops reading.
        self._ask("PROPFIND", self._url(""), "log in", 404, 405, headers={"Depth": "0"})

    def close(self) -> None:
        self._client.close()

    def upload(self, path: str, length: int, chunks: Iterable[bytes]) -> None:
        headers = {"Content-Length": str(length), "Content-Type": "application/octet-stream"}
        self._ask("PUT", self._url(path), f"write {path}", content=iter(chunks), headers=headers)

    def size(self, path: str) -> int | None:
        response = self._ask("HEAD", self._url(path), f"ask for the size of {path}", 405, 501)
        length = response.headers.get("Content-Length", "")
        return int(length) if response.is_success and length.isdigit() else None

    def read(self, path: str) -> Iterator[bytes]:
        doing = f"read {path}"
        with faults(doing), self._client.stream("GET", self._url(path)) as response:
            yield from require(response, doing).iter_raw(64 * 1024)

    def rename(self, old: str, new: str) -> None:
        response = self._move(old, new, "F", 412)
        if response.status_code == 412:
            # To overwrite a folder would be to delete all that is in it.
            _, body = ask(self._client, "PROPFIND", self._url(new), f"look at {new}", headers={"Depth": "0"})
            if any(True for _ in parsed(body, f"look at {new}").iter(_DAV + "collection")):
                raise TransportError(f"Cannot rename {old}: {new} is a folder", permanent=True)
            response = self._move(old, new, "T")
        if response.status_code == 207:
            raise TransportError(f"Cannot rename {old}: the server could not do it whole.", permanent=False)

    def _move(self, old: str, new: str, overwrite: str, *also: int) -> httpx.Response:
        headers = {"Destination": self._url(new), "Overwrite": overwrite}
        return self._ask("MOVE", self._url(old), f"rename {old}", *also, headers=headers)

    def remove(self, path: str) -> None:
        self._ask("DELETE", self._url(path), f"delete {path}", 404)

    def make_folder(self, path: str) -> None:
        """405 says that it is there (§9.7); some servers answer a folder with a redirect to itself."""
        parts = path.strip("/").split("/")
        for count in range(1, len(parts) + 1):
            folder = "/".join(parts[:count])
            self._ask("MKCOL", self._url(folder) + "/", f"make {folder}", 405, 301)

    def remove_folder(self, path: str) -> None:
        self._ask("DELETE", self._url(path) + "/", f"delete {path}", 404)

    def listing(self, path: str) -> Iterator[tuple[str, bool]]:
        doing, url = f"list {path}", self._url(path)
        _, body = ask(self._client, "PROPFIND", url, doing, headers={"Depth": "1"})
        found = parsed(body, doing)
        own = unquote(urlsplit(url).path).rstrip("/")
        for entry in found.iter(_DAV + "response"):
            inside = unquote(urlsplit(entry.findtext(_DAV + "href", "")).path).rstrip("/")
            folder, _, name = inside.rpartition("/")
            if name and folder == own:
                yield name, entry.find(f".//{_DAV}collection") is not None

    def _url(self, path: str) -> str:
        return self._origin + self._path + quote(path.strip("/"), safe="/")

    def _ask(self, method: str, url: str, doing: str, *also: int, **request: Any) -> httpx.Response:
        return ask(self._client, method, url, doing, *also, **request)[0]


CARRIER = WebDAVCarrier()
