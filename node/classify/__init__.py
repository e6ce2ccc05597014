"""What a series is: header and pixels, weighed together."""
