"""Passages that were spoken before, by what decides their samples. Knows no job, no engine, no settings tree."""

from longtake.cache.entry import Entry
from longtake.cache.key import passage_key
from longtake.cache.store import PassageCache, Usage

__all__ = ["Entry", "PassageCache", "Usage", "passage_key"]
