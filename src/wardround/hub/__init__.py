"""The coordinator: it orders, sums and updates, keeps the checkpoint and the run folder, and never sees a record."""
