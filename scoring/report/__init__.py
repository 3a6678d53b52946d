"""The scorecard as people read it: terminal, Markdown, JSON, and one HTML file that needs nothing else."""
