"""Storage commitment (PS3.4 Annex J): asked of destinations, and given for what we hold."""
