"""Static audit of system prompts and tool descriptions: what in them steers behaviour, with the words quoted."""
