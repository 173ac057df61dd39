"""Engines carry bytes between the hub and the sites. `local`: one machine, folders as hospitals."""
