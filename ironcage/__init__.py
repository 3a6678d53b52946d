"""The front door: command line, settings, console. The only room that builds things."""

__version__ = "0.1.0"
