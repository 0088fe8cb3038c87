"""S3 of any maker: an object appears whole or not at all. Requests are signed here (AWS Signature Version 4).

Not obstore: it dials by itself, so that what the egress guard judged could differ from what it reaches, and its
runtime hangs in a forked worker once the parent has used it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlsplit
from xml.sax.saxutils import escape

import httpx

from exports.transports import signing
from exports.transports.base import Target, TransportError, option_flag, option_folder, option_text, refused
from exports.transports.ftp import trust
from exports.transports.http import ask, client, faults, parsed, require, url_option
from exports.transports.remote import Remote, RemoteCarrier

#: Sizes of a part: at least what S3 asks for, and such that an object has 10,000 of them at the most.
PART, MOST_PARTS = 16 * 1024 * 1024, 10_000
LARGEST = 5 * 1024**4
PIECE = 256 * 1024


class S3Carrier(RemoteCarrier):
    """Options: server (URL of the endpoint), bucket, directory, region, access_key; secret_key (secret); virtual_host;
    verify; certificate (PEM)."""

    secrets = frozenset({"secret_key"})

    def check(self, attribute: str, options: Mapping[str, object]) -> dict[str, object]:
        url = url_option(attribute, options, "server")
        if url.path.strip("/"):
            raise refused(f"{attribute}.server", "must not have a path: bucket and directory are options")
        bucket = option_text(attribute, options, "bucket", required=True, longest=255)
        if not signing.is_bucket(bucket):
            raise refused(f"{attribute}.bucket", "is not the name of a bucket")
        certificate = option_text(attribute, options, "certificate", longest=100_000, lines=True)
        if certificate:
            trust(f"{attribute}.certificate", certificate)
        return {
            "server": option_text(attribute, options, "server"),
            "bucket": bucket,
            "directory": option_folder(attribute, options, "directory").strip("/"),
            "region": option_text(attribute, options, "region", longest=64) or "us-east-1",
            "access_key": option_text(attribute, options, "access_key", required=True),
            "virtual_host": option_flag(attribute, options, "virtual_host"),
            "verify": option_flag(attribute, options, "verify"),
            **({"certificate": certificate} if certificate else {}),
        }

    def open(self, target: Target) -> Remote:
        return S3Remote(target)


class S3Remote(Remote):
    atomic = True

    def __init__(self, target: Target) -> None:
        if not target.secret("secret_key"):
            raise TransportError("The secret key is missing.", permanent=True)
        url = urlsplit(target.text("server"))
        if target.options.get("virtual_host"):
            url = url._replace(netloc=f"{target.text('bucket')}.{url.netloc}")
        self._base = f"{url.scheme}://{httpx.URL(url.geturl()).netloc.decode()}"  # as it will stand in Host
        self._bucket = "" if target.options.get("virtual_host") else "/" + target.text("bucket")
        self._key = signing.Key(target.text("access_key"), target.secret("secret_key"), target.text("region"))
        self._client = client(url, trust("certificate", target.text("certificate")))

    def close(self) -> None:
        self._client.close()

    def upload(self, path: str, length: int, chunks: Iterable[bytes]) -> None:
        """Every part is signed with its SHA-256, which the server checks."""
        if length > LARGEST:
            raise TransportError(f"{path} is larger than an S3 object can be.", permanent=True)
        size = max(PART, -(-length // MOST_PARTS))
        parts = _parts(chunks, size)
        if length <= size:
            self._ask("PUT", path, f"write {path}", content=b"".join(parts))
            return
        _, body = self._ask("POST", path, f"write {path}", query={"uploads": ""})
        upload = {"uploadId": _text(body, "UploadId")}
        try:
            tags = [self._part(path, upload, number, part) for number, part in enumerate(parts, 1)]
            self._complete(path, upload, tags)
        except BaseException:
            with suppress(TransportError):
                self._ask("DELETE", path, f"give {path} up", query=upload)
            raise

    def _part(self, path: str, upload: dict[str, str], number: int, part: bytes) -> str:
        query = {"partNumber": str(number), **upload}
        response, _ = self._ask("PUT", path, f"write {path}", query=query, content=part)
        return response.headers.get("ETag", "")

    def _complete(self, path: str, upload: dict[str, str], tags: list[str]) -> None:
        lines = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(tag)}</ETag></Part>"
            for number, tag in enumerate(tags, 1)
        )
        body = f"<CompleteMultipartUpload>{lines}</CompleteMultipartUpload>".encode()
        _, answer = self._ask("POST", path, f"write {path}", query=upload, content=body)
        if b"<Error>" in answer:  # with status 200, as S3 has it
            raise TransportError(f"Cannot write {path}: {_text(answer, 'Code')}", permanent=False)

    def size(self, path: str) -> int | None:
        response, _ = self._ask("HEAD", path, f"ask for the size of {path}")
        length = response.headers.get("Content-Length", "")
        return int(length) if length.isdigit() else None

    def read(self, path: str) -> Iterator[bytes]:
        doing, url = f"read {path}", self._url(path)
        with faults(doing), self._client.stream("GET", url, headers=self._signed("GET", url, b"")) as response:
            yield from require(response, doing).iter_raw(64 * 1024)

    def rename(self, old: str, new: str) -> None:
        raise AssertionError("objects appear whole; there is nothing to rename")

    def remove(self, path: str) -> None:
        self._ask("DELETE", path, f"delete {path}", 404)

    def make_folder(self, path: str) -> None:
        """There are none; an object's name holds its folders."""

    def remove_folder(self, path: str) -> None:
        """As `make_folder`."""

    def listing(self, path: str) -> Iterator[tuple[str, bool]]:
        prefix, token = path.lstrip("/"), ""
        while True:
            query = {"list-type": "2", "prefix": prefix, "delimiter": "/"}
            query |= {"continuation-token": token} if token else {}
            _, body = self._ask("GET", "", f"list {path}", query=query)
            found = parsed(body, f"list {path}")
            names = [(each.text or "", False) for each in found.findall("./{*}Contents/{*}Key")]
            names += [(each.text or "", True) for each in found.findall("./{*}CommonPrefixes/{*}Prefix")]
            for name, is_folder in names:
                leaf = name.removeprefix(prefix).rstrip("/")
                if name.startswith(prefix) and leaf:
                    yield leaf, is_folder
            token = found.findtext("{*}NextContinuationToken") or ""
            if not token:
                return

    def _url(self, path: str, query: dict[str, str] | None = None) -> str:
        asked = "&".join(
            f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted((query or {}).items())
        )
        return f"{self._base}{self._bucket}/{quote(path.lstrip('/'), safe='/~')}" + (f"?{asked}" if asked else "")

    def _signed(self, method: str, url: str, content: bytes) -> dict[str, str]:
        return self._key.headers(method, url, hashlib.sha256(content).hexdigest())

    def _ask(
        self, method: str, path: str, doing: str, *also: int, query: dict[str, str] | None = None, content: bytes = b""
    ) -> tuple[httpx.Response, bytes]:
        url = self._url(path, query)
        request: dict[str, Any] = {"headers": self._signed(method, url, content)}
        if method in ("PUT", "POST"):
            # In pieces: httpx keeps a body of bytes in a cycle of objects, and parts would pile up until it is broken.
            request["content"] = _pieces(content)
            request["headers"]["Content-Length"] = str(len(content))
        return ask(self._client, method, url, doing, *also, **request)


def _pieces(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), PIECE):
        yield content[start : start + PIECE]


def _parts(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) > size:
            with memoryview(held) as view:
                part = bytes(view[:size])
            del held[:size]
            yield part
    yield bytes(held)


def _text(body: bytes, name: str) -> str:
    found = parsed(body, "upload").findtext(f"{{*}}{name}")
    if not found:
        raise TransportError(f"The server's answer has no {name}.", permanent=True)
    return found


CARRIER = S3Carrier()
