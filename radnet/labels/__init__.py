"""What series can be called, and how their headers say it."""
