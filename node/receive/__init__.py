"""How instances come in. Success means that they are durable."""
