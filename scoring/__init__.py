"""Scores what was recorded: outcome, faults, efficiency, statistics, comparison, report. Imports only trajectory."""
