"""The bodies of HTTP requests and answers, as pydantic models. Knows their shape alone: no job, no engine, no route."""
