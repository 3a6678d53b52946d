"""Requests of each wire format into the neutral request."""
