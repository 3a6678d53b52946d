"""Trajectories as files: our own JSONL, and what other tools write and read."""
