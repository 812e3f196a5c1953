"""Which of a claimed job's unfinished passages can be gone on with. Whole passages are the recorder's to check."""

from __future__ import annotations

import logging
from dataclasses import replace

from longtake.audio import has_sha256
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Claim, SpokenPassage, Stretch

log = logging.getLogger(__name__)


def mend(claim: Claim, desk: WorkerDesk, folder: DataFolder, *, keeps_traces: bool) -> Claim:
    """Cut every passage that is not whole back to what the engine can go on behind; gives the claim as it is then.

    Args:
        keeps_traces: The engine goes on in the middle of a passage; otherwise it is begun anew.

    Raises:
        LeaseLostError: The claim is void.
    """
    spoken = dict(claim.spoken)
    for index, passage in claim.spoken.items():
        if passage.is_whole:
            continue
        kept = intact(passage, claim, folder) if keeps_traces else ()
        if len(kept) < len(passage.stretches):
            desk.uncommit(claim, index, len(kept))
        if kept:
            spoken[index] = SpokenPassage(index, kept, is_whole=False, marks=())
        else:
            del spoken[index]
    return replace(claim, spoken=spoken)


def intact(passage: SpokenPassage, claim: Claim, folder: DataFolder) -> tuple[Stretch, ...]:
    """Its stretches up to the first whose file is missing or is not what was committed."""
    kept = []
    for stretch in passage.stretches:
        if not has_sha256(folder.passages(claim.job.id) / stretch.file, stretch.sha256):
            place = {"job": claim.job.id, "passage": passage.index, "file": stretch.file}
            log.warning("stretch damaged, it is spoken again", extra=place)
            break
        kept.append(stretch)
    return tuple(kept)
