"""A thousand mutated archives, the same ones each time: each is refused, or holds exactly what it held."""

from pathlib import Path

from tests.engine.fuzzing import fuzz


def test_a_thousand_mutants_are_refused_or_harmless(tmp_path: Path) -> None:
    refused, taken = fuzz(1000, 0, tmp_path)
    assert refused > 800 and taken > 0
