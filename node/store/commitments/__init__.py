"""Storage commitment: what is asked of others, and what others ask of us."""
