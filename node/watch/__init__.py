"""What the node is doing, for people; reads rows, decides nothing."""
