"""VibeVoice, spoken by our own loop. Needs torch, transformers (tokenizer), safetensors and numpy, and no more."""
