"""The box in which an agent process runs in a replay: memory, CPU time, wall clock, network."""
