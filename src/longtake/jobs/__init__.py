"""The durable truth: jobs, passages, events and leases in one SQLite file. Knows no engine, no codec, no HTTP."""
