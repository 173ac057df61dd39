"""Public data sets by name: catalogue, download with hashes, readers."""
