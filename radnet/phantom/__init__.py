"""A made-up body, and the scans that are taken of it."""
