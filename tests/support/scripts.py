"""Scripts made for tests: any length, several speakers, no two sentences alike."""

from __future__ import annotations

SUBJECTS = ("The keeper", "A careful reader", "My neighbour", "The old engine", "Nobody here", "The second witness")
VERBS = ("remembers", "counted", "painted", "described", "forgot", "repaired")
OBJECTS = (
    "the harbour",
    "seven letters",
    "a narrow staircase",
    "the winter of ninety-one",
    "every window",
    "that song",
)


def dialogue(turns: int, *, speakers: int = 2, sentences: int = 3) -> str:
    """About 7 s of speech a turn at 3 sentences."""
    lines = []
    for turn in range(turns):
        said = []
        for sentence in range(sentences):
            number = turn * sentences + sentence
            subject = SUBJECTS[number % 6]
            verb, thing = VERBS[(number // 6) % 6], OBJECTS[(number // 36) % 6]
            said.append(f"{subject} {verb} {thing}, number {number}.")
        lines.append(f"Speaker {turn % speakers + 1}: {' '.join(said)}")
    return "\n".join(lines)
