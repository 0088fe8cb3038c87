"""The filter grammar of `spec/v1.md §5.1`, and the words of states. No database."""

import pytest

from exports.api.v1.filters import exports_filter
from exports.api.v1.words import STATE_WORDS, state_word, states_of
from exports.errors import DefinitionRefused
from exports.selectors import Condition
from exports.states import RunState


def test_the_seed_s_example_binds_as_the_seed_says() -> None:
    """ "multiple filters disjunctive, parts separated by + in conjunction, values by |"."""
    assert exports_filter("type:download|export+status:failed,type:export_incremental") == [
        [Condition(types=["download", "export"]), Condition(states=frozenset({RunState.FAILED, RunState.STOPPED}))],
        [Condition(types=["export_incremental"])],
    ]


def test_an_empty_filter_is_none() -> None:
    assert exports_filter("") == []


def test_a_variable_may_occur_twice_in_a_clause() -> None:
    assert len(exports_filter("type:export+type:download")[0]) == 2


@pytest.mark.parametrize(
    "text",
    [
        ",",
        "type",
        "type:",
        ":export",
        "type:export|",
        "type:export+",
        "type:export,",
        "type:export status:new",
        "name:x",
        "type:copy",
        "status:broken",
        "type:export:download",
        "TYPE:export",
        "status:stopped",
    ],
)
def test_anything_else_is_an_invalid_value(text: str) -> None:
    with pytest.raises(DefinitionRefused) as caught:
        exports_filter(text)
    assert caught.value.params["fault"] == "invalid_value"


def test_an_unknown_variable_is_named_as_the_dialect_names_it() -> None:
    with pytest.raises(DefinitionRefused, match='Unknown column "colour"'):
        exports_filter("colour:red")


def test_new_is_no_run_yet() -> None:
    assert states_of("new") == {None}


def test_every_state_is_found_under_the_word_it_is_shown_as() -> None:
    for state in RunState:
        assert state in states_of(state_word(state))


def test_strict_states_show_warnings_as_done_and_find_them_under_both(settings) -> None:
    """C11."""
    settings.EXPORT_STRICT_EASYDB_STATES = True
    assert state_word(RunState.DONE_WITH_WARNINGS) == "done"
    assert states_of("done") == {RunState.DONE, RunState.DONE_WITH_WARNINGS}
    assert states_of("done_with_warnings") == {RunState.DONE_WITH_WARNINGS}
    assert set(STATE_WORDS) == set(RunState)
