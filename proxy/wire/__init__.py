"""Wire formats: vendors' bytes in, neutral conversation out, and edits that touch only the span they concern."""
