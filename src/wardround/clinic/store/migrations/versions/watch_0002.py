"""What a clinic that is watched keeps beside its cases; and old lines of the audit may go, once the cut is noted."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_REFUSAL = "the audit is append-only"
_UNCUT = "OLD.number > COALESCE((SELECT MAX(number) FROM audit_cuts), 0)"


def upgrade() -> None:
    op.create_table(
        "figures",
        sa.Column("case_id", sa.String(32), sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("bins", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("case_id", name="pk_figures"),
    )
    op.create_table(
        "alerts",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("acceptance", sa.String(64), nullable=False),
        sa.Column("figure", sa.String(200), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("raised", "value", "low", "high", "limit")),
        sa.Column("seen_by", sa.String(64), nullable=False),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
    )
    op.create_index("ix_alerts_acceptance", "alerts", ["acceptance"])
    op.create_table(
        "withdrawals",
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("actor", sa.String(80), nullable=False),
        sa.PrimaryKeyConstraint("patient", name="pk_withdrawals"),
    )
    op.create_table(
        "audit_cuts",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit_cuts"),
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_delete")
        op.execute(
            f"CREATE TRIGGER audit_delete BEFORE DELETE ON audit WHEN {_UNCUT} BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        )
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION audit_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF TG_OP = 'UPDATE' OR {_UNCUT} THEN RAISE EXCEPTION '{_REFUSAL}'; END IF; RETURN OLD; END $$"
    )
