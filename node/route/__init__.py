"""What a table of rules says about one series."""
