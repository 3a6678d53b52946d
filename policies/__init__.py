"""Decides, and does nothing else: events in, verdicts out. Pure but for loading files and building detectors."""
