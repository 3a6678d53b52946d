"""Replies in each wire format: what a candidate said that has no place elsewhere, and how one is written."""
