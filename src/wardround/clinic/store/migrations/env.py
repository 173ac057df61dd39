"""Alembic's entry: the open connection comes from `database.py`, and no file of settings is read."""

from alembic import context

from wardround.clinic.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
