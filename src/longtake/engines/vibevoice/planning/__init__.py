"""What a request will take, known before it starts: frames, positions, bytes, and when it should end."""
