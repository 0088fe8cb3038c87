from exports.engine.notes import MOST, Notes


def test_what_is_said_twice_is_kept_once_and_a_flood_is_counted() -> None:
    notes = Notes()
    for number in range(MOST + 5):
        notes.warn(f"sentence {number}")
        notes.warn("sentence 0")
    told = notes.sentences()
    assert len(told) == MOST + 1 and told[0] == "sentence 0"
    assert told[-1] == "And 5 more warnings of this kind."
