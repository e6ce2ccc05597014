"""All that is private to pynetdicom, in both directions; only these files may touch it."""
