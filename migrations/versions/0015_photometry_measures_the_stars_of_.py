"""photometry measures the stars of the astrometry."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TABLES = ("photometricparameters", "photometricsolution")


def upgrade() -> None:
    """Apply the migration."""
    _describe("detection threshold of stars, those of photometry too")
    for table in TABLES:
        with op.batch_alter_table(table) as batch_op:
            batch_op.drop_column("param_threshold")


def downgrade() -> None:
    """Undo the migration: the threshold was 5 unless somebody asked for another."""
    _describe("detection threshold")
    column = "param_threshold", sa.Float()
    for table in TABLES:
        with op.batch_alter_table(table) as batch_op:
            batch_op.add_column(sa.Column(*column, nullable=False, comment="detection threshold", server_default="5.0"))
        with op.batch_alter_table(table) as batch_op:
            batch_op.alter_column(column[0], existing_type=column[1], existing_nullable=False, server_default=None)


def _describe(words: str) -> None:
    if op.get_bind().dialect.name == "postgresql":  # SQLite keeps no comments
        op.alter_column("astrometricparameters", "param_threshold", existing_type=sa.Float(), comment=words)
