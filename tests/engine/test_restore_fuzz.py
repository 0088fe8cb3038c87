"""A thousand mutated archives of each kind, the same ones each time: each is refused, or harmless."""

from pathlib import Path

import pytest

from tests.engine.fuzzing import KINDS, fuzz


@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_mutants_are_refused_or_harmless(kind: str, tmp_path: Path) -> None:
    refused, taken = fuzz(kind, 1000, 0, tmp_path)
    assert refused > 500 and taken > 0
