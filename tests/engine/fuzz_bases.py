"""One small, good archive of each kind that an import takes, to be mutated; and well-formed ones that lie."""

import gzip
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable

from exports.engine.formats.tar import BLOCK
from exports.engine.layouts.cell import REQUIRED
from tests.engine.hostile import parts, zip_of

ROOT = "io.cozy.files.root-dir"
#: Where fields of a TAR header begin and end: name, mode, size, mtime, checksum, kind, link, magic, version, prefix.
_FIELDS = [(0, 100), (100, 108), (124, 136), (136, 148), (148, 156), (156, 157), (157, 257), (257, 263), (263, 265),
           (345, 500)]  # fmt: skip
_VALUES = [b"\0", b"7" * 11 + b"\0", b"\x80" + b"\xff" * 7, b"-0000000001", b"0000000001\0", b"../x\0", b"/x\0",
           b"a.txt\0", b"1", b"2", b"3", b"L", b"x", b"g", b"S", b"ustar  \0", b"\xff\xfe"]  # fmt: skip


def tar() -> bytes:
    """What `hostile.parts` holds."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for part in parts():
            told = tarfile.TarInfo(part.name.decode().rstrip("/"))
            told.type = tarfile.DIRTYPE if part.name.endswith(b"/") else tarfile.REGTYPE
            told.size, told.mtime, told.mode = len(part.data), 10**9, 0o755 if told.isdir() else 0o644
            archive.addfile(told, io.BytesIO(part.data))
    return out.getvalue()


def zipped(members: dict[str, object]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in members.items():
            told = zipfile.ZipInfo(name)
            told.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(told, value if isinstance(value, bytes) else json.dumps(value))
    return out.getvalue()


def snapshot() -> dict[str, object]:
    """Members of a cell snapshot: a box with a file, one in the main box, a role, a document."""
    about = {"c": "old", "p": 1500000000000, "u": 1500000000001}

    def line(kind: str, ident: str, **source: object) -> dict[str, object]:
        return {"_index": "u0", "_type": kind, "_id": ident, "_source": {**about, **source}}

    members: dict[str, object] = {
        "00_manifest.json": {"export_version": 2, "unit_url": "https://old/", "create_date": 1}
    }
    members |= {name: b"" for name in REQUIRED if name.endswith(".pjson")}
    members |= {
        "10_odata/00_cell.json": line("Cell", "old", s={"Name": "old"}),
        "10_odata/10_box.pjson": line("Box", "box1", s={"Name": "photos"}),
        "10_odata/20_role.pjson": line("Role", "r1", b="box1", s={"Name": "friend"}),
        "10_odata/70_userdata.pjson": line("UserData", "u1", b="old", t="et", s={"__id": "x"}, d={"n": 12345}),
    }
    nodes: dict[str, tuple[str, str, bytes | None]] = {
        "": ("old", "Cell", None),
        "__/": ("old", "col.box", None),
        "__/top.txt/": ("n1", "dav.file", b"top"),
        "box1/": ("box1", "col.box", None),
        "box1/2017/": ("n2", "col.webdav", None),
        "box1/2017/a.jpg/": ("n3", "dav.file", b"\xff\xd8" * 50),
    }
    for place, (ident, kind, content) in nodes.items():
        told = {"a": {}, "d": {}, "p": 1500000000000, "v": 1, "u": 1500000000001, "i": ident, "t": kind}
        members[f"20_webdav/{place}.pmeta"] = told
        if content is not None:
            members[f"20_webdav/{place}content"] = content
    return members


def move() -> list[dict[str, object]]:
    """Members of the two parts of an export of the move API."""

    def file(ident: str, name: str, parent: str, data: bytes) -> dict[str, object]:
        told = {"_id": ident, "_rev": "1-a", "type": "file", "name": name, "dir_id": parent, "size": str(len(data)),
                "mime": "text/plain", "updated_at": "2020-02-29T10:00:00Z", "executable": False}  # fmt: skip
        where = f"docs/{name}" if parent == "d1" else name
        return {f"My Cozy/Data/io.cozy.files/{ident}.json": told, f"My Cozy/Files/{where}": data}

    folder = {"_id": "d1", "type": "directory", "name": "docs", "dir_id": ROOT}
    first: dict[str, object] = {
        "My Cozy/Data/instance.json": {"domain": "old.example"},
        "My Cozy/Data/io.cozy.contacts/c1.json": {"_id": "c1", "_rev": "3-abc", "name": "Zoe", "n": 1.50},
        "My Cozy/Data/io.cozy.files/d1.json": folder,
        **file("f1", "a.txt", ROOT, b"alpha" * 20),
    }
    return [first, file("f2", "b.txt", "d1", b"beta")]


def lying_tar(dice: random.Random) -> bytes:
    """One field of one header says something else, and the checksum is right."""
    made = bytearray(tar())
    heads = [at for at in range(0, len(made), BLOCK) if made[at + 257 : at + 262] == b"ustar"]
    at = dice.choice(heads)
    begin, end = dice.choice(_FIELDS)
    made[at + begin : at + end] = dice.choice(_VALUES)[: end - begin].ljust(end - begin, b"\0")
    if dice.random() < 0.9:
        made[at + 148 : at + 156] = b" " * 8
        made[at + 148 : at + 156] = b"%06o\0 " % sum(made[at : at + BLOCK])
    if dice.random() < 0.2:  # a second one of it
        made[at:at] = made[at : at + BLOCK]
    return bytes(made)


def lying_members(members: dict[str, object], dice: random.Random, mutate: Callable) -> dict[str, object]:
    """Another name, other bytes, or a member that is missing or there twice in another place."""
    made = dict(members)
    name = dice.choice(list(made))
    value = made.pop(name)
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    kind = dice.randrange(5)
    if kind == 0:
        made[mutate(name.encode(), dice).decode(errors="replace").replace("\0", "")[:300] or "x"] = data
    elif kind == 1:
        made[name] = mutate(data or b"{}", dice)
    elif kind == 2:
        made[dice.choice(list(made)).rpartition("/")[0] + "/" + name.rpartition("/")[2]] = data
    elif kind == 3:
        made[name] = made[dice.choice(list(made))]
    return made


def ours() -> bytes:
    return zip_of(parts())


def squeezed(plain: bytes) -> bytes:
    return gzip.compress(plain, mtime=0)
