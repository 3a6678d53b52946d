"""What happened, and where it is kept. Knows no other room."""
