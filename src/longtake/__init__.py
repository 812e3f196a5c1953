"""longtake: a script of any length, spoken by several voices, becomes finished audio."""

__version__ = "0.1.0"
