"""A process that applies one stylesheet to what it is sent, and can do nothing else. Run as a script by `xslt`.

Every message, either way, is eight bytes of length and so many bytes; answers begin with b"+" or b"-" (a reason).
The stylesheet comes first. Imports nothing of ours: it is started with `-I`, away from our modules.
"""

import resource
import sys

from lxml import etree

MEMORY = 1024 * 1024 * 1024
LARGEST_RESULT = 64 * 1024 * 1024
#: Of a processor, for one message: whoever waits ends this process sooner, but may be killed himself.
SECONDS = 60


class _Nothing(etree.Resolver):
    def resolve(self, url: str, public_id: str, context: object) -> None:
        raise OSError(f"it asks for {url[:200]}, and may read no file but itself")


def _parser() -> etree.XMLParser:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    parser.resolvers.add(_Nothing())
    return parser


def _read() -> bytes | None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + SECONDS, resource.RLIM_INFINITY))
    head = sys.stdin.buffer.read(8)
    return sys.stdin.buffer.read(int.from_bytes(head)) if len(head) == 8 else None


def _answer(sign: bytes, data: bytes) -> None:
    sys.stdout.buffer.write((len(data) + 1).to_bytes(8) + sign + data)
    sys.stdout.buffer.flush()


def _transformed(transform: etree.XSLT, text: bytes) -> bytes:
    result = bytes(transform(etree.fromstring(text, _parser())))
    if len(result) > LARGEST_RESULT:
        raise ValueError(f"its result is larger than {LARGEST_RESULT} bytes")
    return result


def main() -> None:
    # No more files, pipes or sockets than the three that are open; not one byte into a file; so much memory.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    transform = None
    while (message := _read()) is not None:
        try:
            if transform is None:
                sheet = etree.fromstring(message, _parser())
                transform = etree.XSLT(sheet, access_control=etree.XSLTAccessControl.DENY_ALL)
                _answer(b"+", b"")
            else:
                _answer(b"+", _transformed(transform, message))
        except (etree.Error, OSError, ValueError, MemoryError) as error:
            _answer(b"-", " ".join(str(error).split())[:500].encode())


if __name__ == "__main__":
    main()
