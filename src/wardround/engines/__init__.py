"""Engines carry bytes between the coordinator and the sites. `in_process`: one machine, folders as hospitals."""
