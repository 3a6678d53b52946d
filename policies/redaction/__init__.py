"""Detection of personal data and secrets, keyed pseudonyms, and their restoration."""
