"""Whether ironcage can work here: each check says what it found and what to do."""
