"""Every numbered clause of `spec/v1.md` is quoted by a test, or stands here with the reason why not."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Lies beside the project where it is developed.
SPEC = ROOT.parent / "shared" / "spec" / "v1.md"
CLAUSES = """
    0.1 0.2 1.1 1.2 1.3 1.4 1.5 1.6 1.7 1.8 1.9 1.10 1.11 2.1 2.2 2.3 2.4 2.5 2.6 2.7 2.8 3.1 3.2 3.3 3.4
    4.1 4.2 4.3 4.4 4.5 4.6 5.1 5.2 5.3 5.4 5.5 5.6 5.7 5.8 5.9 5.10 5.11 6.1 6.2 6.3 6.4
    7.1 7.2 7.3 7.4 7.5 7.6 8.1 8.2 8.3 8.4 8.5 8.6 8.7 9.1 9.2 9.3 9.4 9.5 9.6 9.7 10 11 12 13 14 15 16 17
""".split()
#: Clause → why no test quotes it.
UNQUOTED = {
    "0.1": "how to read the specification",
    "0.2": "its rules are quoted by their own names, C1 to C26",
    "2.7": "an optional second front door of fylr, which we do not have",
    "3.4": "fylr's envelope, for reference: needed by a fylr-flavoured front alone",
    "14": "names of easydb's and fylr's own settings; ours are in .env.example, which test_env.py compares",
    "15": "there are no export plugins: a name with a colon is refused (§4.2)",
    "16": "easydb's own way to make objects; cells have theirs",
}
#: In files that name the specification a bare § is of it.
QUOTE = re.compile(r"spec/v1\.md (§[^\"'\n]*)")
BARE = re.compile(r"(?<!esign )(?<!essons )(?<!cell\.md )(?<!move\.md )§([0-9]+(?:\.[0-9]+)?)")
NUMBER = re.compile(r"(?:§|, |,§|–|-| and )([0-9]+(?:\.[0-9]+)?)")


def quoted() -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        if path == Path(__file__):
            continue
        text = path.read_text()
        if "spec/v1" in text or "spec/v1" in str(path):
            found.update(BARE.findall(text))
        for clauses in QUOTE.findall(text):
            found.update(NUMBER.findall(clauses))
    return found


def test_every_clause_is_quoted_or_excused() -> None:
    assert [clause for clause in CLAUSES if clause not in quoted() | UNQUOTED.keys()] == []


def test_no_excuse_outlives_its_reason() -> None:
    assert UNQUOTED.keys() <= set(CLAUSES)
    assert sorted(UNQUOTED.keys() & quoted()) == []


@pytest.mark.skipif(not SPEC.exists(), reason="the specification is not here")
def test_these_are_the_clauses_of_the_specification() -> None:
    text = SPEC.read_text()
    headings = re.findall(r"^##+ ([0-9]+(?:\.[0-9]+)?)[. ]", text, re.MULTILINE)
    whole = [clause for clause in headings if not any(other.startswith(f"{clause}.") for other in headings)]
    listed = re.search(r"^## 1\. .*?(?=^## )", text, re.MULTILINE | re.DOTALL)
    conventions = [f"1.{number}" for number in re.findall(r"^([0-9]+)\. ", listed[0], re.MULTILINE)]
    assert [each for clause in whole for each in (conventions if clause == "1" else [clause])] == CLAUSES
