"""Text to script: lines to turns, and a word about every line that is not spoken. Knows no engine.

Scripts have labels (`parse_script`); a text that is only to be read aloud has none (`parse_plain`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from longtake.script.cast import Cast
from longtake.script.characters import normalize_breaks
from longtake.script.finding import Severity
from longtake.script.json_turns import looks_like_json, parse_json
from longtake.script.labels import MAX_SPEAKER_NUMBER, Accepted, Kind, Label, accept_labels, find_label, prefix_length
from longtake.script.pauses import find_pauses
from longtake.script.records import Form, Pause, Script

_FENCE = re.compile(r"`{3,}\s{0,3}[\w+#.-]{0,20}")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
_MARKS = frozenset("-*_=~—–`#>|+ \t")
_SENTENCE_END = tuple(".!?。！？…\"'”’」』)）:：")
_WRAP_WIDTH = 90  # nobody wraps lines by hand beyond this


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the script. `start`: offset of its text behind bullets; `shift`: offset of `line[0]` in the input."""

    number: int
    line: str
    start: int
    shift: int
    is_blank: bool
    is_mark: bool
    is_heading: bool
    label: Label | None


def parse_script(text: str) -> Script:
    """Read a script: labelled lines, Markdown dialogue, JSON turns or plain prose.

    Every line that is not blank ends in a turn, as a pause, or in a finding. Nothing is raised: what cannot be read is
    an error among the findings (see `check_script` and `raise_for`).

    * A line without a label goes on with the turn before it; after a blank line it is a new turn of the same speaker.
      Lines are joined by a space. A line break also ends a paragraph when the line ends a sentence and it or the next
      is longer than people wrap lines.
    * Text before the first label is spoken by the first speaker, with a warning. Headings are spoken in prose only.
    * What counts as a label is written at the top of `labels`. Names get the lowest free numbers.
    """
    text = normalize_breaks(text.removeprefix("\ufeff"))
    if looks_like_json(text):
        return parse_json(text)
    scratch = Cast(())  # cleaning finds things before the speakers' numbers are known
    rows = _read_rows(scratch, text)
    accepted = _judge(rows)
    numbers = {
        row.label.number for row in rows if _is_label(row, accepted) and row.label and row.label.number is not None
    }
    cast = Cast(numbers)
    cast.findings.extend(scratch.findings)
    has_labels = any(_is_label(row, accepted) for row in rows)
    form = Form.DIALOGUE if has_labels else Form.PROSE
    _Reader(cast, accepted, form).read(rows)
    return cast.to_script(form, len(text))


def parse_plain(text: str) -> Script:
    """Read a text that is no script: one speaker says all of it, as prose.

    Nothing in it is a label or JSON. Pauses, paragraphs and headings are as of `parse_script`; only lines without a
    letter or digit may be left out, with a finding. There are no errors.
    """
    text = normalize_breaks(text.removeprefix("\ufeff"))
    cast = Cast(())
    rows = _read_rows(cast, text, is_plain=True)
    _Reader(cast, Accepted(), Form.PROSE).read(rows)
    return cast.to_script(Form.PROSE, len(text))


def _read_rows(cast: Cast, text: str, *, is_plain: bool = False) -> list[_Row]:
    lines = enumerate(text.split("\n"), start=1)
    return [_read_row(cast, number, line, is_plain=is_plain) for number, line in lines]


def _read_row(cast: Cast, number: int, raw: str, *, is_plain: bool) -> _Row:
    line = cast.clean(raw, number, 1)
    # Columns are the input's: only what was taken out in front of the text shifts them.
    shift = len(raw) - len(line)
    if shift:
        first = line.lstrip()[:1]
        shift = raw.index(first) - (len(line) - len(line.lstrip())) if first else 0
    if not line.strip():
        return _Row(number, line, 0, shift, True, False, False, None)
    if _MARKS.issuperset(line.strip()) or (not is_plain and _FENCE.fullmatch(line.strip())):
        return _Row(number, line, 0, shift, False, True, False, None)
    start = prefix_length(line)
    return _Row(
        number, line, start, shift, False, False, "#" in line[:start], None if is_plain else find_label(line, start)
    )


def _judge(rows: Sequence[_Row]) -> Accepted:
    labels: list[Label] = []
    first: Label | None = None
    paragraphs, is_first, is_after_blank = 0, True, True
    for row in rows:
        if row.is_blank or row.is_mark or (row.is_heading and row.label is None) or _is_only_pause(row.line):
            is_after_blank = True
            continue
        if is_after_blank or row.label:
            paragraphs += 1
        is_after_blank = False
        if row.label:
            labels.append(row.label)
            first = row.label if is_first else first
        is_first = False
    return accept_labels(labels, paragraphs=paragraphs, first=first)


def _is_only_pause(line: str) -> bool:
    mark = next(find_pauses(line), None)
    return mark is not None and not line[: mark.start].strip() and not line[mark.end :].strip()


def _is_label(row: _Row, accepted: Accepted) -> bool:
    return row.label is not None and accepted.has(row.label)


class _Reader:
    """Walks the rows once; holds the turn that is being read.

    `parts` belong to the open turn that began at `place`; `label` is set while it has a label and no text yet.
    """

    def __init__(self, cast: Cast, accepted: Accepted, form: Form) -> None:
        self.cast = cast
        self.accepted = accepted
        self.form = form
        self.speaker: int | None = None
        self.parts: list[str | Pause] = []
        self.place = (1, 1)
        self.label: Label | None = None
        self.is_paragraph_over = False
        self.last_width = 0
        self.is_sentence_over = False

    def read(self, rows: Sequence[_Row]) -> None:
        first = next((row for row in rows if _is_label(row, self.accepted)), None)
        if first is None:
            self.speaker = 1
        for row in rows:
            if row.is_blank:
                self.is_paragraph_over = True
            elif row.is_mark:
                message = f"The line “{row.line.strip()[:20]}” is a mark, not text, and is not spoken."
                self.cast.find(Severity.NOTE, "mark_not_spoken", row.number, row.shift + 1, message)
                self.is_paragraph_over = True
            elif row.label and _is_label(row, self.accepted):
                self._open(row, row.label)
            elif row.is_heading and self.form is Form.DIALOGUE:
                message = "This heading is not spoken. Remove the # and give it a speaker if it should be."
                self.cast.find(Severity.NOTE, "heading_not_spoken", row.number, row.shift + row.start + 1, message)
                self.is_paragraph_over = True
            else:
                self._go_on(row, first)
        self._close()

    def _speaker_of(self, row: _Row, label: Label) -> int:
        if label.number is None:
            return self.cast.number_of(label.name)
        return self.cast.speaker_of(label.number, row.number, row.shift + row.start + 1)

    def _speak_before_label(self, row: _Row, first: _Row) -> None:
        if first.label is None:
            return
        number = first.label.number
        # A number that cannot be is reported where it stands, not here.
        is_known = number is not None and 1 <= number <= MAX_SPEAKER_NUMBER
        self.speaker = number if is_known else self.cast.number_of(first.label.name)
        message = f"There is text before the first speaker; {first.label.name} speaks it. Give it a label of its own."
        self.cast.find(Severity.WARNING, "text_before_label", row.number, row.shift + row.start + 1, message)

    def _open(self, row: _Row, label: Label) -> None:
        self._close(keep_pauses=self.speaker is None)
        self.speaker = self._speaker_of(row, label)
        self.label = label
        self.place = (row.number, row.shift + row.start + 1)
        if label.direction:
            message = f"“({label.direction})” is not spoken: engines here take no directions."
            self.cast.find(Severity.NOTE, "direction_not_spoken", *self.place, message)
        said = row.line[label.end :]
        if label.opened:
            said = said.rstrip().removesuffix(label.opened)
        self._add(row, said, label.end)

    def _go_on(self, row: _Row, first: _Row | None) -> None:
        said = row.line[row.start :]
        parts = self.cast.parts_of(_without_bold(said), row.number, row.shift + row.start + 1)
        if any(isinstance(part, str) for part in parts):
            if self.speaker is None and first:
                self._speak_before_label(row, first)
            is_long = max(self.last_width, _width(row.line)) > _WRAP_WIDTH
            has_text = any(isinstance(part, str) for part in self.parts)
            is_over = self.is_paragraph_over or row.is_heading or (is_long and self.is_sentence_over)
            if has_text and is_over:
                self._close()
            self._warn_of_name(row)
        if not self.parts and self.label is None:
            self.place = (row.number, row.shift + row.start + 1)
        self._take(row, parts)

    def _add(self, row: _Row, said: str, offset: int) -> None:
        self._take(row, self.cast.parts_of(_without_bold(said), row.number, row.shift + offset + 1))

    def _take(self, row: _Row, parts: list[str | Pause]) -> None:
        self.parts.extend(parts)
        if any(isinstance(part, str) for part in parts):
            self.label = None
            self.is_paragraph_over = row.is_heading and self.form is Form.PROSE
        self.last_width = _width(row.line)
        self.is_sentence_over = row.line.rstrip().endswith(_SENTENCE_END)

    def _warn_of_name(self, row: _Row) -> None:
        is_prose = self.form is Form.PROSE
        if row.label is None or (is_prose and row.label.kind is not Kind.STRONG):
            return
        where = (row.number, row.shift + row.start + 1)
        message = f"“{row.label.name}” is read aloud, not taken as a speaker. If it is one, write “Speaker N:” instead."
        is_likely = row.label.kind is Kind.STRONG and not is_prose
        self.cast.find(Severity.WARNING if is_likely else Severity.NOTE, "name_not_sure", *where, message)

    def _close(self, *, keep_pauses: bool = False) -> None:
        """End the open turn. Pauses before the first label wait for its turn."""
        if keep_pauses:
            return
        if self.parts:
            self.cast.add_turn(self.speaker or 1, self.parts, *self.place)
        elif self.label:
            message = f"{self.label.name} has no text here; the line was left out."
            self.cast.find(Severity.WARNING, "empty_turn", *self.place, message)
        self.parts = []
        self.label = None
        self.is_paragraph_over = False


def _without_bold(text: str) -> str:
    return _BOLD.sub(r"\1", text) if "**" in text else text


def _width(line: str) -> int:
    return len(line) if line.isascii() else sum(2 if char > "\u2e80" else 1 for char in line)
