"""A program of its own that downloads to nowhere: `client.py PORT PATH` or `client.py PORT PATH LENGTH COUNT`.

Prints JSON: bytes and seconds of one whole download, or milliseconds to the first byte of each of COUNT random ranges.
"""

import json
import random
import socket
import sys
import time

PIECE = 1 << 20
RANGE = 64 << 10


def get(port: int, path: str, start: int | None = None) -> tuple[float, float, int]:
    """(seconds to the first byte of the body, to the last, bytes of the body)"""
    wanted = "" if start is None else f"Range: bytes={start}-{start + RANGE - 1}\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        begin = time.perf_counter()
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{wanted}\r\n".encode())
        buffer = bytearray(PIECE)
        head = b""
        while b"\r\n\r\n" not in head or head.endswith(b"\r\n\r\n"):
            received = connection.recv(PIECE)
            if not received:
                break
            head += received
        first = time.perf_counter() - begin
        top, _, body = head.partition(b"\r\n\r\n")
        status = int(top.split(None, 2)[1])
        if status != (200 if start is None else 206):
            sys.exit(f"{path}: {top.decode(errors='replace')}")
        size, length = len(body), int(_header(top, b"content-length"))
        while size < length and (count := connection.recv_into(buffer)):
            size += count
        if size != length:
            sys.exit(f"{path}: {size} of {length} bytes came")
        return first, time.perf_counter() - begin, size


def _header(top: bytes, name: bytes) -> bytes:
    lines = (line.partition(b":") for line in top.lower().split(b"\r\n"))
    return next(value for key, _, value in lines if key == name).strip()


def main(port: int, path: str, length: int = 0, count: int = 0) -> None:
    if count:
        rng = random.Random(length)
        starts = [rng.randrange(length - RANGE) for _ in range(count)]
        json.dump([get(port, path, start)[0] * 1000 for start in starts], sys.stdout)
    else:
        first, seconds, size = get(port, path)
        json.dump({"first": first, "seconds": seconds, "bytes": size}, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
