"""Messages to bytes and back (docs/spec/wire.md). What is not understood is refused, and nothing refused has any effect."""
