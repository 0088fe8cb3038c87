"""Stylesheets of users: what they may not do, and that a run goes on whatever they do."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from exports.engine.notes import Notes
from exports.engine.produce import xslt
from exports.engine.produce.xslt import LOST, Stylesheet

XSL = 'xmlns:xsl="http://www.w3.org/1999/XSL/Transform"'
DATA = b"<objects><book>secret of nobody</book></objects>"


def sheet(body: str, top: str = "") -> bytes:
    template = f'<xsl:template match="/">{body}</xsl:template>'
    return f'<xsl:stylesheet version="1.0" {XSL}>{top}{template}</xsl:stylesheet>'.encode()


@pytest.fixture
def notes() -> Notes:
    return Notes()


def applied(text: bytes, notes: Notes, data: bytes = DATA, seconds: float = 20.0) -> bytes:
    style = Stylesheet(text, 1_000_000, notes, lambda: None, seconds)
    try:
        return b"".join(style.apply("a.xml", [data]))
    finally:
        style.close()


def test_it_transforms(notes: Notes) -> None:
    assert b"<r>secret of nobody</r>" in applied(sheet('<r><xsl:value-of select="objects/book"/></r>'), notes)
    html = sheet("<html><body>ä</body></html>", '<xsl:output method="text" encoding="UTF-8"/>')
    assert applied(html, notes) == "ä".encode()
    assert notes.sentences() == []


@pytest.mark.parametrize("address", ["file://{secret}", "{secret}", "http://127.0.0.1:1/x", "ftp://127.0.0.1:1/x"])
@pytest.mark.parametrize("way", ["document", "include", "import", "entity"])
def test_it_reads_nothing_but_itself(tmp_path: Path, notes: Notes, address: str, way: str) -> None:
    """The secret is a good stylesheet too, so that reading it would show."""
    secret = tmp_path / "secret.xsl"
    secret.write_bytes(sheet("<leak>LEAK</leak>"))
    url = address.format(secret=secret)
    text = {
        "document": sheet(f"<r><xsl:copy-of select=\"document('{url}')\"/></r>"),
        "include": sheet("<r/>").replace(b"<xsl:template", f'<xsl:include href="{url}"/><xsl:template'.encode(), 1),
        "import": f'<xsl:stylesheet version="1.0" {XSL}><xsl:import href="{url}"/></xsl:stylesheet>'.encode(),
        "entity": f'<!DOCTYPE x [<!ENTITY e SYSTEM "{url}">]>'.encode() + sheet("<r>&e;</r>"),
    }[way]
    assert b"LEAK" not in applied(text, notes)


def test_it_writes_nothing(tmp_path: Path, notes: Notes) -> None:
    target = tmp_path / "written"
    body = f'<exsl:document href="{target}" xmlns:exsl="http://exslt.org/common"><x/></exsl:document>'
    text = sheet(body).replace(XSL.encode(), (XSL + ' extension-element-prefixes="exsl"').encode(), 1)
    text = text.replace(b"<xsl:stylesheet", b'<xsl:stylesheet xmlns:exsl="http://exslt.org/common"', 1)
    applied(text, notes)
    assert not target.exists()


@pytest.mark.parametrize(
    "text",
    [
        b"no xml at all",
        b"<not-a-stylesheet/>",
        sheet('<xsl:call-template name="none"/>'),
        sheet(
            '<xsl:call-template name="t"/>', '<xsl:template name="t"><xsl:call-template name="t"/></xsl:template>'
        ),
    ],
    ids=["text", "other", "unknown template", "endless recursion"],
)  # fmt: skip
def test_what_fails_leaves_the_file_as_it_was(notes: Notes, text: bytes) -> None:
    assert applied(text, notes) == DATA
    [told] = notes.sentences()
    assert told.startswith("The stylesheet was not applied to a.xml: ")


SLOW = sheet(
    '<xsl:call-template name="t"><xsl:with-param name="n" select="60"/></xsl:call-template>',
).replace(
    b"</xsl:stylesheet>",
    b'<xsl:template name="t"><xsl:param name="n"/><xsl:if test="$n &gt; 0">'
    b'<xsl:call-template name="t"><xsl:with-param name="n" select="$n - 1"/></xsl:call-template>'
    b'<xsl:call-template name="t"><xsl:with-param name="n" select="$n - 1"/></xsl:call-template>'
    b"</xsl:if></xsl:template></xsl:stylesheet>",
)


def test_what_takes_too_long_is_ended_and_not_tried_for_ever(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.Popen
    started: list[subprocess.Popen[bytes]] = []

    def popen(*args: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(real(*args, **options))
        return started[-1]

    monkeypatch.setattr(xslt.subprocess, "Popen", popen)
    beats: list[int] = []
    style = Stylesheet(SLOW, 1_000_000, notes, lambda: beats.append(1), 1.0)
    for number in range(LOST + 3):
        assert b"".join(style.apply(f"{number}.xml", [DATA])) == DATA
    assert len(started) == LOST and all(child.returncode is not None for child in started)
    assert beats
    assert "it took longer than 1 s" in notes.sentences()[0]
    assert f"it took too long or broke off {LOST} times" in notes.sentences()[-1]
    style.close()


def test_who_ends_the_process_is_not_tried_for_ever(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sheet that takes all memory a thousand times would need hours for a package of files."""
    real = subprocess.Popen
    started: list[subprocess.Popen[bytes]] = []
    style = Stylesheet(sheet("<r/>"), 1_000_000, notes, lambda: None)

    def popen(*args: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(real(*args, **options))
        return started[-1]

    monkeypatch.setattr(xslt.subprocess, "Popen", popen)
    asked = style._asked

    def killed(data: bytes) -> bytes:
        if data == DATA:
            started[-1].kill()
            started[-1].wait()
        return asked(data)

    monkeypatch.setattr(style, "_asked", killed)
    for number in range(LOST + 3):
        assert b"".join(style.apply(f"{number}.xml", [DATA])) == DATA
    assert len(started) == LOST
    assert f"broke off {LOST} times" in notes.sentences()[-1]
    style.close()


def test_a_process_that_nobody_waits_for_ends_by_itself() -> None:
    """Whoever waits may be killed while a sheet loops."""
    code = xslt._CHILD.read_text().replace("SECONDS = 60", "SECONDS = 1")
    child = subprocess.Popen([sys.executable, "-I", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert child.stdin is not None
    child.stdin.write(b"".join(len(text).to_bytes(8) + text for text in (SLOW, DATA)))
    child.stdin.flush()
    assert child.wait(timeout=120) == -signal.SIGXCPU
    child.stdin.close()


def test_who_is_told_to_stop_meanwhile_leaves_no_process(notes: Notes) -> None:
    def stop() -> None:
        raise InterruptedError

    style = Stylesheet(SLOW, 1_000_000, notes, stop, 60.0)
    with pytest.raises(InterruptedError):
        list(style.apply("a.xml", [DATA]))
    child = style._child
    style.close()
    assert child is not None and child.returncode is not None


def test_an_entity_bomb_in_the_sheet_has_no_effect(notes: Notes) -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "x" * 10}">' for n in range(12))
    text = f"<!DOCTYPE x [{entities}]>".encode() + sheet("<r>&e11;</r>")
    assert len(applied(text, notes)) < 10_000


def test_a_file_beyond_the_limit_goes_by_piece_by_piece(notes: Notes) -> None:
    style = Stylesheet(sheet("<r/>"), 100, notes, lambda: None)
    chunks = style.apply("big.xml", (b"x" * 60 for _ in range(1000)))
    assert len(next(chunks)) == 120
    assert sum(map(len, chunks)) == 60_000 - 120
    assert notes.sentences() == ["The stylesheet was not applied to big.xml: it has more than 100 bytes."]
