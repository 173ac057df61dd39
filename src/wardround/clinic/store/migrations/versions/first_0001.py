"""The first tables; no line of the audit can be changed or removed through the database's own commands."""

from alembic import op

from wardround.clinic.store.migrations.tables_0001 import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_REFUSAL = "the audit is append-only"


def upgrade() -> None:
    bind = op.get_bind()
    metadata.create_all(bind)
    if bind.dialect.name == "sqlite":
        for word in ("UPDATE", "DELETE"):
            op.execute(f"CREATE TRIGGER audit_{word.lower()} BEFORE {word} ON audit BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END")
        return
    op.execute(f"CREATE FUNCTION audit_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$")
    op.execute("CREATE TRIGGER audit_kept BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_kept()")
