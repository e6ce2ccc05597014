"""Files and rows: the only state of the node."""
