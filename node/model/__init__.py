"""What every part of the node speaks of: values, states, keys. No input or output, no clock."""
