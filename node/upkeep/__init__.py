"""What keeps the node in order beside its work: retention, pruning, quarantine, leftovers."""
