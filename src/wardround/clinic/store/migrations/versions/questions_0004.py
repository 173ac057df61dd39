"""Answers to other questions than yes or no, which have no probability and no threshold."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = ("probability", "raw_probability", "threshold")


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        for name in _COLUMNS:
            op.alter_column("answers", name, existing_type=sa.Double(), nullable=True)
        return
    # SQLite frees no column of NOT NULL, and a new table in the old one's place would lose the opinions that refer to it.
    for name in _COLUMNS:
        op.add_column("answers", sa.Column(f"{name}_or_null", sa.Double(), nullable=True))
        op.execute(f"UPDATE answers SET {name}_or_null = {name}")  # nosec B608  names of this page
        op.execute(f"ALTER TABLE answers DROP COLUMN {name}")
        op.execute(f"ALTER TABLE answers RENAME COLUMN {name}_or_null TO {name}")
