"""What a stream reads before it speaks: text as tokens, recordings as voices, both as a prompt."""
