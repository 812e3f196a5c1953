"""espeak-ng: speaks at once on any machine, without weights or GPU. Knows nothing of the other engines."""
