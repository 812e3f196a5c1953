"""docs/job-states.md shows the table that `jobs.states` applies."""

from __future__ import annotations

import re

from longtake.jobs.changes import MAX_CRASHES
from longtake.jobs.desk import LEASE_S
from longtake.jobs.states import ENDED, OWNED, TRANSITIONS, State, Verb
from tests.docs.markdown import read, spans, table

PAGE = read("job-states.md")
STATES = {row[0]: row[1] for row in table(PAGE, "state")}


def test_every_edge() -> None:
    edges = [(row[0], row[1], row[2]) for row in table(PAGE, "from")]

    assert edges == [(str(state), str(verb), str(after)) for (state, verb), after in TRANSITIONS.items()]


def test_every_state_and_who_owns_it() -> None:
    assert [spans(cell)[0] for cell in STATES] == list(State)
    assert {spans(cell)[0] for cell in STATES if cell.startswith("**")} == OWNED


def test_which_states_are_the_end() -> None:
    assert {spans(cell)[0] for cell, meaning in STATES.items() if meaning.startswith("ended")} == ENDED


def test_the_drawing_shows_every_state_and_every_verb_that_leads_elsewhere() -> None:
    drawing = set(re.findall(r"[a-z]+", PAGE.split("```")[1]))

    assert drawing >= set(State)
    assert drawing >= set(Verb) - {Verb.SUSPEND}  # the way out of a full disk is told in the text


def test_every_verb_is_explained() -> None:
    explained = PAGE.partition("## Who may do what")[2].partition("## Every edge")[0]

    assert set(spans(explained)) >= set(Verb)


def test_numbers() -> None:
    assert f"lease of {LEASE_S:g} s" in PAGE
    words = {2: "twice", 3: "three times", 4: "four times", 5: "five times"}
    assert f"die {words[MAX_CRASHES]} while they hold it" in PAGE
