"""What tool results of a replay rest on, and whether success rests on it too."""
