"""Step by step: from embeddings to frames of sound, for all streams together. Knows no request and no text."""
