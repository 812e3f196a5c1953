"""The model: its parts and how they hang together. Knows no checkpoint, no request, no step."""
