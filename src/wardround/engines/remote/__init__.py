"""Sealed messages between a hub and hospitals elsewhere, over whatever carrier brings small messages."""
