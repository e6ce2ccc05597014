"""What is due: what is to be done next, when, who is at it, by which clock."""
