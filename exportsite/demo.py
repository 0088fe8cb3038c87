"""The demo cell: a household's papers, photographs, notes and one long recording. Always the same bytes."""

import json
import math
import os
import random
import struct
import zlib
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

_FIRST = (
    "Ana Benoît Chiara Dmitri Élodie Fatima Georg Hanna Ida Jörg Klára Łukasz Mei Noémi Olu Priya Søren Yūki".split()
)
_LAST = "Müller Nowak García O’Brien Šimek Tanaka Okafor Rossi Jensen Yılmaz Dubois Петров".split()
_TOWNS = "Lübeck Kraków Málaga Cork Brno 京都 Lagos Torino Århus İzmir Lyon Казань".split()
_ALBUMS = (
    "2022/Sommer an der Ostsee",
    "2023/Été à la montagne",
    "2024/日本旅行/京都",
    "2024/日本旅行/東京",
    "2025/Garten 🌻",
    "2025/Geburtstag Oma",
)
_WORDS = (
    "the boat left before sunrise and nobody had thought of the keys so we walked back along the harbour while "
    "rain came over the hills bread and coffee were waiting on the table with a letter from the council about "
    "trees behind the station which must not be cut until autumn he said it twice then asked for the old map "
    "of the valley where the mill stands empty since the flood and children play there every summer evening"
).split()
_FOLDERS_LEFT_EMPTY = ("Scans/noch zu sortieren", "Archiv/2019/leer", "Projekte/Baumhaus/Pläne/verworfen")
_RECORDING_SECONDS = 320


def write_demo(folder: Path) -> None:
    """A tree of about 330 files (one of 56 MB), some folders empty, and `documents.jsonl` with 460 documents."""
    files = {**_photos(), **_papers(), **_notes(), **_project()}
    for place, (path, content) in enumerate(files.items()):
        _write(folder / path, content, place)
    (folder / "Projekte/Baumhaus/bauen.sh").chmod(0o755)
    _write_recording(folder / "Aufnahmen/Konzert in der grünen Scheune.wav")
    for path in _FOLDERS_LEFT_EMPTY:
        (folder / path).mkdir(parents=True)
    with (folder / "documents.jsonl").open("w", encoding="utf-8") as out:
        for doctype, doc_id, body in _documents(files):
            out.write(json.dumps({"doctype": doctype, "id": doc_id, "body": body}, ensure_ascii=False) + "\n")
    _set_mtime(folder / "documents.jsonl", 0)


def _write(path: Path, content: bytes, place: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    _set_mtime(path, place)


def _set_mtime(path: Path, place: int) -> None:
    moment = datetime(2019, 3, 1, 7, 30, tzinfo=UTC) + timedelta(hours=173 * place, seconds=37 * place % 3600)
    os.utime(path, (moment.timestamp(), moment.timestamp()))


# --- files ----------------------------------------------------------------------------------------------------


def _photos() -> dict[str, bytes]:
    return {
        f"Fotos/{album}/IMG_{1000 + 40 * number + shot}.png": _landscape(random.Random(f"{album} {shot}"))
        for number, album in enumerate(_ALBUMS)
        for shot in range(14)
    }


def _papers() -> dict[str, bytes]:
    papers = {}
    for number in range(96):
        pick = random.Random(f"paper {number}")
        title = f"Invoice {2019 + number // 14}-{number % 14 + 1:02}"
        lines = [
            title,
            f"To {pick.choice(_FIRST)}",
            f"Total {pick.randint(900, 90000) / 100} EUR",
        ]
        papers[f"Papiere/Rechnungen/{2019 + number // 14}/{title}.pdf"] = _pdf([*lines, *_prose(pick, 12)])
    return papers


def _notes() -> dict[str, bytes]:
    notes = {}
    for number in range(120):
        pick = random.Random(f"note {number}")
        name = f"{' '.join(pick.sample(_WORDS, 3))} – {pick.choice(_TOWNS)} {number}"
        text = f"# {name}\n\n" + "\n\n".join(" ".join(_prose(pick, pick.randint(4, 30))) for _ in range(6))
        notes[f"Notizen/{pick.choice(('Alltag', 'Reisen', 'Rezepte', 'Идеи'))}/{name}.md"] = text.encode()
    notes["Notizen/leer.txt"] = b""
    return notes


def _project() -> dict[str, bytes]:
    deep = "Projekte/Baumhaus/Pläne/Entwurf 2/Statik/Berechnung/Anhang"
    files = {f"{deep}/Balken {n}.csv": _measures(random.Random(f"beam {n}")) for n in range(24)}
    files["Projekte/Baumhaus/bauen.sh"] = b"#!/bin/sh\nset -eu\necho 'saw, then nail'\n"
    files["Projekte/Baumhaus/Café-Liste.txt"] = "Kaffee\nZucker\nCrème fraîche\n".encode()
    return files


def _prose(pick: random.Random, sentences: int) -> list[str]:
    return [" ".join(pick.choices(_WORDS, k=pick.randint(6, 16))).capitalize() + "." for _ in range(sentences)]


def _measures(pick: random.Random) -> bytes:
    rows = (f"{n};{pick.gauss(4.2, 0.3):.4f};{pick.randint(0, 360)}" for n in range(400))
    return ("mark;length;angle\n" + "\n".join(rows) + "\n").encode()


def _landscape(pick: random.Random, width: int = 640, height: int = 420) -> bytes:
    """A PNG: sky, a hill line of three waves, snow, wood and meadow below it."""
    waves = [(pick.uniform(10, 45), pick.uniform(0.004, 0.03), pick.uniform(0, 6)) for _ in range(3)]
    hills = (150 + sum(size * math.sin(x * pace + shift) for size, pace, shift in waves) for x in range(width))
    line = bytes(min(max(int(hill), 8), 250) for hill in hills)
    rows = bytearray()
    for y in range(height):
        sky = min(y // 4, 99)
        grain = 100 + (y * 7919 + pick.randrange(5)) % 30
        wood, snow = min(grain + 30, 189), min(grain + 90, 249)
        # what a pixel shows follows from how far it lies under the line: bytes.translate does that for a row at once
        shows = bytes(sky if h > y else snow if y - h < 18 else wood if y - h < 120 else grain for h in range(256))
        rows += b"\0" + line.translate(shows)
    palette = b"".join(_colour(index) for index in range(256))
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _colour(index: int) -> bytes:
    if index < 100:
        return bytes((90 + index, 140 + index, 250 - index // 2))
    if index < 130:
        return bytes((90 + index % 30, 150 + index % 30 * 2, 70))
    if index < 190:
        return bytes((30 + index % 30, 70 + index % 30, 50))
    return bytes((225 + index % 30,) * 3)


def _pdf(lines: list[str]) -> bytes:
    """One page, Helvetica, with a right cross-reference table."""
    shown = "".join(f"({line.translate({40: '[', 41: ']', 92: '/'})}) Tj T*\n" for line in lines)
    page = f"BT /F 11 Tf 14 TL 60 780 Td\n{shown}ET".encode("latin-1", "replace")
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources 6 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(page), page),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Font << /F 5 0 R >> >>",
    )
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start, table = len(out), b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"xref\n0 7\n0000000000 65535 f \n%s" % table
    out += b"trailer\n<< /Size 7 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start
    return bytes(out)


def _write_recording(path: Path, rate: int = 44_100) -> None:
    """A WAV of 16 bit stereo: chords of a second each, written one by one."""
    pick = random.Random("concert")
    triads = ((0, 4, 7), (5, 9, 12), (7, 11, 14), (-3, 0, 4))
    seconds = [_second([220.0 * 2 ** (step / 12) for step in steps], rate) for steps in triads]
    size = _RECORDING_SECONDS * rate * 4
    path.parent.mkdir(parents=True)
    with path.open("wb") as out:
        out.write(struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 2, rate, rate * 4, 4, 16))
        out.write(struct.pack("<4sI", b"data", size))
        for _ in range(_RECORDING_SECONDS):
            out.write(pick.choice(seconds))
    _set_mtime(path, 101)


def _second(chord: list[float], rate: int) -> bytes:
    turns = [2 * math.pi * tone / rate for tone in chord]
    samples = array("h")
    for at in range(rate):
        level = int(6000 * math.exp(-2 * at / rate) * sum(math.sin(turn * at) for turn in turns))
        samples.extend((level, level * 3 // 4))
    return samples.tobytes()


# --- documents ------------------------------------------------------------------------------------------------


def _documents(files: dict[str, bytes]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for number in range(130):
        yield "contact", f"contact-{number:03}", _contact(random.Random(f"contact {number}"))
    for number, path in enumerate(path for path in files if path.startswith("Fotos/")):
        year, _, title = path.removeprefix("Fotos/").rpartition("/")[0].partition("/")
        yield "photo", f"photo-{number:03}", {"title": title, "year": int(year), "image": {"_file": path}}
    for number, path in enumerate(path for path in files if path.endswith(".pdf")):
        pick = random.Random(f"invoice {number}")
        body = {"number": Path(path).stem, "total": pick.randint(900, 90000) / 100, "paid": pick.random() < 0.8}
        yield "invoice", f"invoice-{number:03}", {**body, "currency": "EUR", "scan": {"_file": path}}
    for number in range(150):
        yield "event", f"event-{number:03}", _event(random.Random(f"event {number}"))


def _contact(pick: random.Random) -> dict[str, Any]:
    phones = [f"+49 4{pick.randint(100, 999)} {pick.randint(10_000, 999_999)}" for _ in range(pick.randint(0, 3))]
    address = {"street": f"{pick.choice(_WORDS).title()} Street {pick.randint(1, 99)}", "town": pick.choice(_TOWNS)}
    name = {"first": pick.choice(_FIRST), "last": pick.choice(_LAST)}
    return {"name": name, "phones": phones, "address": address, "favourite": pick.random() < 0.2}


def _event(pick: random.Random) -> dict[str, Any]:
    start = datetime(2021, 1, 1, 8, tzinfo=UTC) + timedelta(minutes=15 * pick.randrange(170_000))
    end = start + timedelta(minutes=15 * pick.randint(1, 12))
    guests = [{"name": pick.choice(_FIRST), "answer": pick.choice(("yes", "no", None))} for _ in range(4)]
    title = " ".join(pick.sample(_WORDS, 4)).capitalize()
    when = {"start": start.isoformat(), "end": end.isoformat()}
    return {"title": title, **when, "town": pick.choice(_TOWNS), "guests": guests[: pick.randrange(5)]}
