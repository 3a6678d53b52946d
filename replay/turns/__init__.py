"""A conversation carried on by the engine itself, in each wire format that it speaks."""
