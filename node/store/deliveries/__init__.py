"""What has to go where, where it stands, and what holds it up."""
