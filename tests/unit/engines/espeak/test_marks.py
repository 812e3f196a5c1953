from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from longtake.engines.espeak.marks import marks_of


def cut(text: str, *starts: int) -> list[str]:
    times = ((character, 0.1 * place) for place, character in enumerate(starts))
    return [mark.text for mark in marks_of(text, times, begin_s=0.0, end_s=10.0, speaker=1)]


def test_a_word_takes_the_punctuation_and_space_after_it() -> None:
    assert cut("Hello, world! Yes", 0, 7, 14) == ["Hello, ", "world! ", "Yes"]


def test_several_events_of_one_number_are_one_mark() -> None:
    assert cut("costs 1,234 dollars.", 0, 6, 7, 8, 9, 9, 12) == ["costs ", "1,234 ", "dollars."]


def test_an_opening_quote_belongs_to_its_word() -> None:
    assert cut('He said "No (never)!"', 0, 3, 9, 13) == ["He ", "said ", '"No ', '(never)!"']


def test_words_joined_by_a_dash_are_two() -> None:
    assert cut("right—this GPT-5", 0, 6, 11, 15) == ["right—", "this ", "GPT-5"]


def test_chinese_words_begin_without_a_space() -> None:
    assert cut("你好，今天天气", 0, 3, 5) == ["你好，", "今天", "天气"]
    assert cut("用Python写", 0, 1, 7) == ["用", "Python", "写"]


def test_an_event_before_its_predecessor_is_held_back() -> None:
    marks = marks_of("one two three", [(0, 0.0), (4, 0.5), (8, 0.4)], begin_s=0.0, end_s=1.0, speaker=1)
    assert [(mark.start_s, mark.end_s) for mark in marks] == [(0.0, 0.5), (0.5, 0.5), (0.5, 1.0)]


@given(
    text=st.text(
        alphabet=st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(" .,—“\"'(1a好の👍ש"))
    ).filter(bool),
    starts=st.lists(st.tuples(st.integers(-2, 40), st.floats(-1, 5))),
)
def test_whatever_the_events_marks_give_the_text_and_never_go_back(text: str, starts: list[tuple[int, float]]) -> None:
    marks = marks_of(text, starts, begin_s=0.5, end_s=2.0, speaker=3)
    assert "".join(mark.text for mark in marks) == text
    assert all(mark.text for mark in marks)
    assert marks[0].start_s == 0.5
    assert marks[-1].end_s == 2.0
    assert all(mark.start_s <= mark.end_s for mark in marks)
    assert all(one.end_s == after.start_s for one, after in pairwise(marks))
