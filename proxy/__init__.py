"""Speaks HTTP. Holds the pure exchange, the wire formats, and the two doors that drive them."""
