"""A scripted driver: `script.ScriptedNvml` for tests in one process, the module `pynvml` beside it for a server's."""
