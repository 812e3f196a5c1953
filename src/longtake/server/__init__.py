"""HTTP: OpenAI's speech route, jobs, voices, checks, health, metrics. Reads and writes the store; never speaks."""
