"""How the clinic's tables came to be, one file a step; Alembic runs those that a database does not have yet."""
