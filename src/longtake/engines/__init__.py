"""One folder an engine, one interface for all (`base`), one list of names (`registry`). Knows no jobs, no HTTP."""
