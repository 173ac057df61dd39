"""The command line: it parses words, calls a room, and prints. Nothing is decided here."""
