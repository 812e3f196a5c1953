"""Network parts that more than one engine is made of. Knows no engine, no checkpoint, no job. Needs torch alone."""
