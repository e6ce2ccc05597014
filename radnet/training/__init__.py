"""The training of the networks."""
