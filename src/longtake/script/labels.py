"""Who speaks a line: finds labels and judges which of them are names. Knows nothing of turns.

The rule. A label stands at the start of a line (after ``-``, ``*``, ``>`` or ``#``), may be bold, may carry a direction
in brackets, and ends with a colon.

* ``Speaker 2:``, ``[2]:``, ``说话人2：`` and their like are always labels. ``[2] text``, without a colon, is one when
  the first text line of the script starts with a numbered label: elsewhere it is a footnote.
* Anything else before a colon is a *candidate* when it is short (up to 4 words and 40 characters; 12 characters in
  writings without capitals) and looks like a name: every word capitalised, but for particles such as "de" (strong), or
  one lower-case word (weak); in writings without capitals up to 6 characters (strong) or more (weak). Words that open
  notes ("Note", "Chapter 2", "注意") and ends that tell of speech ("他说", "问道") are never names. An ASCII colon must
  be followed by white space, a letter or a quote: ``http://`` and ``12:30`` are not labels.
* Candidates are judged together. In a script with numbered labels, a name must occur twice. In a script without, names
  are taken when

  - half of all paragraphs start with one, or the first does and one in five of them all; and
  - one of them occurs twice, or every paragraph but a title starts with one.

  Then all strong ones are names, and the weak ones that occur twice; a weak one that occurs once is a name when one
  occurs twice and every paragraph but a title starts with one. A lone candidate is a name only when it is strong and
  opens the only paragraph. Strong candidates that are not taken are read aloud, with a finding.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from longtake.script.names import Likeness, judge_name
from longtake.script.pauses import find_pauses

MAX_SPEAKER_NUMBER = 99
_REACH = 140  # a label ends within these characters or there is none

_PREFIX = re.compile(r"\s*(?:[-*•]\s+(?![\d\s])|#{1,6}\s+|>\s*){0,3}(?=\S)")
# Every repeat is bounded: the cost of a line does not depend on what is in it.
_MARK = r"(?:\*{1,3}|_{1,2})?"
_TAIL = (
    rf"(?:\s?[(（\[](?P<direction>[^()（）\[\]]{{1,60}})[)）\]])?\s?{_MARK}\s{{0,3}}(?P<colon>[:：])(?P<late>{_MARK})"
)
_WORDS = (
    "speaker|spk|voice|说话人|說話人|说话者|发言人|發言人|角色|话者|話者|スピーカー|화자|발화자"
    "|sprecher|locuteur|hablante|orador|falante|спикер"
)
_NUMBERED = re.compile(
    rf"(?P<open>{_MARK})(?:[\[【]\s?)?(?:{_WORDS})[\s_-]{{0,3}}"
    rf"(?P<number>\d{{1,20}}|[一二三四五六七八九十])(?:\s?[\]】])?{_TAIL}",
    re.IGNORECASE,
)
_BRACKETED = re.compile(rf"(?P<open>{_MARK})[\[【]\s?(?P<number>\d{{1,20}})\s?[\]】]{_TAIL}")
_BARE = re.compile(r"[\[【]\s?(?P<number>\d{1,2})\s?[\]】]\s{0,3}(?=[^\s:：])")
_NAMED = re.compile(
    rf"(?P<open>{_MARK})"
    rf"(?:[\[【](?P<boxed>[^\[\]【】:：]{{1,40}})[\]】]|(?P<name>[^\W\d_][^:：()（）\[\]【】*_]{{0,39}}?)){_TAIL}"
)
_HAN_NUMBERS = "一二三四五六七八九十"
_OPENING_QUOTES = "\"'“‘«¿¡(（[*「『"


class Kind(Enum):
    NUMBERED = auto()
    BARE = auto()  # [2] without a colon
    STRONG = auto()
    WEAK = auto()


@dataclass(frozen=True, slots=True)
class Label:
    """A label, or a candidate for one.

    Attributes:
        key: Equal for the labels of one speaker.
        number: As written; None for a name.
        direction: What stood in brackets behind it.
        end: Offset at which the text begins.
        opened: The emphasis mark that was opened before the label and not closed around it.
    """

    kind: Kind
    key: str
    name: str
    number: int | None
    direction: str | None
    end: int
    opened: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """Which candidates of a script are labels."""

    keys: frozenset[str] = frozenset()
    is_bare_ok: bool = False

    def has(self, label: Label) -> bool:
        return self.is_bare_ok if label.kind is Kind.BARE else label.key in self.keys


def prefix_length(line: str) -> int:
    """Length of the indent, bullet, quote and heading marks before the text."""
    match = _PREFIX.match(line)
    return match.end() if match else 0


def label_key(name: str) -> str:
    """What two spellings of one name have in common."""
    return " ".join(name.split()).casefold()


def find_label(line: str, start: int) -> Label | None:
    """Find the label, or the candidate for one, that stands at `start`."""
    head = line[start : start + _REACH]
    if head.startswith(("[", "【")) and (bare := _BARE.match(head)):
        number = int(bare["number"])
        if 1 <= number <= MAX_SPEAKER_NUMBER:
            return Label(Kind.BARE, f"#{number}", f"Speaker {number}", number, None, start + bare.end(), "")
    if ":" not in head and "：" not in head:
        return None
    if match := (_NUMBERED.match(head) or _BRACKETED.match(head)):
        digits = match["number"]
        number = _HAN_NUMBERS.index(digits) + 1 if digits in _HAN_NUMBERS else int(digits)
        return _label(match, Kind.NUMBERED, f"#{number}", f"Speaker {number}", number, start)
    match = _NAMED.match(head)
    if match is None:
        return None
    if match["boxed"] and any(find_pauses(f"[{match['boxed']}]")):
        return None
    name = " ".join((match["boxed"] or match["name"]).split())
    likeness = judge_name(name)
    if likeness is None or (match["colon"] == ":" and not _may_follow(head[match.end() : match.end() + 1])):
        return None
    kind = Kind.STRONG if likeness is Likeness.STRONG else Kind.WEAK
    return _label(match, kind, label_key(name), name, None, start)


def accept_labels(labels: Sequence[Label], *, paragraphs: int, first: Label | None) -> Accepted:
    """Judge all labels of a script together; see the rule above.

    Args:
        labels: Every label and candidate of the script, in order.
        paragraphs: How many there are, counting a line with a label as the start of one.
        first: The label on the first line of text.
    """
    is_bare_ok = first is not None and first.number is not None
    sure = {label.key for label in labels if label.kind is Kind.NUMBERED}
    names = [label for label in labels if label.number is None]
    times = Counter(label.key for label in names)
    repeated = {key for key, count in times.items() if count >= 2}
    if sure or is_bare_ok:
        return Accepted(frozenset(sure | repeated), is_bare_ok)
    opens = first is not None
    if len(names) == 1:
        is_all = opens and paragraphs == 1 and names[0].kind is Kind.STRONG
        return Accepted(frozenset(times) if is_all else frozenset())
    is_frequent = len(names) * 2 >= paragraphs or (opens and len(names) * 5 >= paragraphs)
    is_everywhere = len(names) >= paragraphs - (0 if opens else 1)
    if not names or not is_frequent or not (repeated or is_everywhere):
        return Accepted()
    is_sure = bool(repeated) and is_everywhere
    return Accepted(frozenset(repeated | {label.key for label in names if is_sure or label.kind is Kind.STRONG}))


def _label(match: re.Match[str], kind: Kind, key: str, name: str, number: int | None, start: int) -> Label:
    is_closed = bool(match["late"]) or match[0][:-1].rstrip().endswith(("*", "_"))
    opened = "" if is_closed else match["open"]
    return Label(kind, key, name, number, match["direction"], start + match.end(), opened)


def _may_follow(after: str) -> bool:
    return not after or after.isspace() or after.isalpha() or after in _OPENING_QUOTES
