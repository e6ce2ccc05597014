"""The networks: encoder, heads, decoder, presets and freezing."""
