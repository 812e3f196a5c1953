"""The child process that owns one device: one loop for any engine, a recorder thread a job, a heart. Knows no HTTP."""
