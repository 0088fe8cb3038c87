"""Every numbered clause of `spec/v1.md` and `spec/move.md` is quoted by a test, or stands here with the reason."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Lies beside the project where it is developed.
SPECS = ROOT.parent / "shared" / "spec"
V1 = """
    0.1 0.2 1.1 1.2 1.3 1.4 1.5 1.6 1.7 1.8 1.9 1.10 1.11 2.1 2.2 2.3 2.4 2.5 2.6 2.7 2.8 3.1 3.2 3.3 3.4
    4.1 4.2 4.3 4.4 4.5 4.6 5.1 5.2 5.3 5.4 5.5 5.6 5.7 5.8 5.9 5.10 5.11 6.1 6.2 6.3 6.4
    7.1 7.2 7.3 7.4 7.5 7.6 8.1 8.2 8.3 8.4 8.5 8.6 8.7 9.1 9.2 9.3 9.4 9.5 9.6 9.7 10 11 12 13 14 15 16 17
""".split()
MOVE = """
    0.1 0.2 1 2.1 2.2 2.3 2.4 3.1 3.2 3.3 4.1 4.2 4.2.1 4.2.2 4.2.3 4.2.4 4.3 4.4 4.5 4.6 4.7 4.8 4.8.1 4.8.2 4.8.3 4.9
    4.9.4 4.10 4.11 4.12 5.1 5.2 5.3 5.4 5.5 5.6 6.1 6.2 6.3 6.4 6.5 6.6 6.7 6.8 6.8.1 6.9 6.10 7.1 7.2 7.3 7.4 7.5 7.6
    7.7 7.8 7.9 7.10 8 9.1 9.2 9.3 9.4 10 11 12 13 14
""".split()
CLAUSES = {"v1": V1, "move": MOVE}
#: Clause → why no test quotes it.
UNQUOTED: dict[str, dict[str, str]] = {"v1": {}, "move": {}}
UNQUOTED["v1"] = {
    "0.1": "how to read the specification",
    "0.2": "its rules are quoted by their own names, C1 to C26",
    "2.7": "an optional second front door of fylr, which we do not have",
    "3.4": "fylr's envelope, for reference: needed by a fylr-flavoured front alone",
    "14": "names of easydb's and fylr's own settings; ours are in .env.example, which test_env.py compares",
    "15": "there are no export plugins: a name with a colon is refused (§4.2)",
    "16": "easydb's own way to make objects; cells have theirs",
}
UNQUOTED["move"] = {
    "0.1": "how to read the specification",
    "7.3": "consent for the public wizard, outside of /move; who comes from another server brings a token made here",
    "10": "tells how two versions of the old server differ; what was chosen is quoted where it stands, and as DEC-n",
    "11": "its decisions are quoted by their own names, DEC-1 to DEC-15",
}
#: But DEC-12: issue 5 decides otherwise, the source is held for writers in the last phase of a move.
DECISIONS = [f"DEC-{number}" for number in range(1, 16) if number != 12]
_NUMBER = r"[0-9]+(?:\.[0-9]+){0,2}"
NUMBER = re.compile(rf"(?:§|, |,§|–|-| and )({_NUMBER})")


def quoted(spec: str) -> set[str]:
    """In files that name one specification, or lie among its tests, a bare § is of it."""
    others = "".join(rf"(?<!{other}\.md )" for other in ("v1", "cell", "move") if other != spec)
    bare, named = (
        re.compile(rf"(?<!esign )(?<!essons ){others}§({_NUMBER})"),
        re.compile(rf"spec/{spec}\.md (§[^\"'\n]*)"),
    )
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        if path == Path(__file__):
            continue
        text = path.read_text()
        if f"spec/{spec}" in str(path) or (f"spec/{spec}" in text and "/spec/" not in str(path)):
            found.update(bare.findall(text))
        for clauses in named.findall(text):
            found.update(NUMBER.findall(clauses))
    return found


@pytest.mark.parametrize("spec", CLAUSES)
def test_every_clause_is_quoted_or_excused(spec: str) -> None:
    assert [clause for clause in CLAUSES[spec] if clause not in quoted(spec) | UNQUOTED[spec].keys()] == []


@pytest.mark.parametrize("spec", CLAUSES)
def test_no_excuse_outlives_its_reason(spec: str) -> None:
    assert UNQUOTED[spec].keys() <= set(CLAUSES[spec])
    assert sorted(UNQUOTED[spec].keys() & quoted(spec)) == []


def test_every_decision_about_the_move_api_is_quoted() -> None:
    texts = [path.read_text() for path in (ROOT / "tests/spec/move").rglob("*.py")]
    assert [each for each in DECISIONS if not any(re.search(rf"{each}\b", text) for text in texts)] == []


@pytest.mark.skipif(not SPECS.exists(), reason="the specification is not here")
def test_these_are_the_clauses_of_v1() -> None:
    text = (SPECS / "v1.md").read_text()
    headings = re.findall(r"^##+ ([0-9]+(?:\.[0-9]+)?)[. ]", text, re.MULTILINE)
    whole = [clause for clause in headings if not any(other.startswith(f"{clause}.") for other in headings)]
    listed = re.search(r"^## 1\. .*?(?=^## )", text, re.MULTILINE | re.DOTALL)
    conventions = [f"1.{number}" for number in re.findall(r"^([0-9]+)\. ", listed[0], re.MULTILINE)]
    assert [each for clause in whole for each in (conventions if clause == "1" else [clause])] == V1


@pytest.mark.skipif(not SPECS.exists(), reason="the specification is not here")
def test_these_are_the_clauses_of_the_move_api() -> None:
    """Chapters that have clauses say nothing beside them that these do not."""
    headings = re.findall(rf"^##+ ({_NUMBER})[. ]", (SPECS / "move.md").read_text(), re.MULTILINE)
    chapters = {clause.partition(".")[0] for clause in headings if "." in clause}
    assert [clause for clause in headings if clause not in chapters] == MOVE
