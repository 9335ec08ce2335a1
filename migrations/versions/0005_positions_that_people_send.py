"""Lists of positions that people send."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "position_list",
        sa.Column("key", sa.String(length=32), nullable=False, comment="SHA-256 of the positions, first 32 digits"),
        sa.Column("name", sa.String(), nullable=False, comment="name of the file they came in"),
        sa.Column("positions", sa.JSON(), nullable=False, comment="[name, ra, dec] of each"),
        sa.Column("creator", sa.String(), nullable=False, comment="who sent them; empty: somebody without a token"),
        sa.Column("created", sa.DateTime(), nullable=False, comment="when (UTC)"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_position_list")),
    )


def downgrade() -> None:
    """Undo the migration."""
    op.drop_table("position_list")
