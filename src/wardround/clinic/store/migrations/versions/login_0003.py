"""Accounts of the hospital's own login, known by its name for them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("people", sa.Column("external", sa.String(64), nullable=True))
    op.create_index("ix_people_external", "people", ["external"], unique=True)
