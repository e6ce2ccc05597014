"""The order of work, made durable."""
