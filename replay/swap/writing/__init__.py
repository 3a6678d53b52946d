"""The neutral request into each wire format."""
