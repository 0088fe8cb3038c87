"""The rules of the house that a reader of the code can check: layers, ceilings, one writer of states (design §3)."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES, FUNCTION_LINES = 400, 60
#: (path, name) → why it may be longer. Empty is best.
EXCEPTIONS: dict[str, str] = {
    "tests/cells/test_cell_api.py": "one sentence of the REST design after another",
}
STATE_WRITERS = {
    "exports/services/lifecycle.py",
    "exports/services/delivery_lifecycle.py",
    "exports/services/departure_lifecycle.py",
    "exports/services/import_lifecycle.py",
}


def sources() -> Iterator[tuple[str, ast.Module, str]]:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for path in listed.split():
        if "/migrations/" not in path and (ROOT / path).exists():
            text = (ROOT / path).read_text()
            yield path, ast.parse(text), text


def test_no_file_needs_a_second_table_of_contents() -> None:
    long = {path: lines for path, _, text in sources() if (lines := text.count("\n")) > FILE_LINES}
    assert long.keys() == EXCEPTIONS.keys(), long


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{path}:{node.name} {node.end_lineno - node.lineno + 1}"
        for path, tree, _ in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES
    ]
    assert long == []


def test_only_the_life_cycle_writes_a_state() -> None:
    """An attribute `state` that is assigned, or a keyword `state` given to update, create or a model."""
    writes = [
        f"{path}:{node.lineno}"
        for path, tree, _ in sources()
        if path.startswith("exports/") and path not in STATE_WRITERS
        for node in ast.walk(tree)
        if _assigns_state(node) or _updates_state(node)
    ]
    assert writes == []


def _assigns_state(node: ast.AST) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and any(
        isinstance(target, ast.Attribute) and target.attr == "state" for target in targets
    )


def _updates_state(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not any(keyword.arg == "state" for keyword in node.keywords):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in {"update", "create", "get_or_create", "update_or_create", "Run", "Delivery", "Departure", "Import"}


def test_every_import_goes_down_the_stairs() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_nobody_extracts_archives_or_trusts_pickles() -> None:
    """CVE-2007-4559 and its family: entries are read by id, never unpacked by the standard library."""
    bad = [
        f"{path}:{node.lineno}"
        for path, tree, _ in sources()
        if not path.startswith(("tests/", "bench/"))
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in {"extractall", "mark_safe"})
        or (isinstance(node, ast.Import) and any(alias.name == "pickle" for alias in node.names))
    ]  # fmt: skip
    assert bad == []
