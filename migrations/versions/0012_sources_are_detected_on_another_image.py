"""Sources may be detected on another image than that on which they are measured, and have more flags."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


BEFORE = (
    "bits as in SExtractor: 1 neighbours, 2 blended, 4 saturated, 8 truncated, 16 aperture incomplete; "
    "256 windowed position failed"
)
AFTER = (
    "bits as in SExtractor: 1 neighbours or bad pixels in the Kron ellipse, 2 blended, 4 saturated, 8 isophote "
    "truncated by the border, 16 aperture incomplete, 32 isophote incomplete (bad pixels), 64 and 128 full memory "
    "(never); 256 windowed position failed"
)


def _comment(words: str) -> None:
    if op.get_bind().dialect.name == "postgresql":  # SQLite keeps no comments
        op.alter_column("source", "FLAGS", existing_type=sa.Integer(), comment=words)


def upgrade() -> None:
    """Apply the migration."""
    _comment(AFTER)
    with op.batch_alter_table("source", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "FLAGS_WEIGHT",
                sa.Integer(),
                nullable=True,
                comment="bits: 1 weight 0 in the isophote on the image that is measured, 2 on that of detection",
            )
        )
        batch_op.add_column(
            sa.Column("IMAFLAGS_ISO", sa.Integer(), nullable=True, comment="bits of the flag map above the threshold")
        )
        batch_op.add_column(
            sa.Column(
                "NIMAFLAGS_ISO", sa.Integer(), nullable=True, comment="pixels above the threshold that have any of them"
            )
        )

    with op.batch_alter_table("sourcelist", schema=None) as batch_op:
        batch_op.add_column(sa.Column("detection_id", sa.Integer(), nullable=True))
        batch_op.create_index(batch_op.f("ix_sourcelist_detection_id"), ["detection_id"], unique=False)
        batch_op.create_foreign_key(batch_op.f("fk_sourcelist_detection_id"), "frame", ["detection_id"], ["object_id"])


def downgrade() -> None:
    """Undo the migration."""
    _comment(BEFORE)
    with op.batch_alter_table("sourcelist", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_sourcelist_detection_id"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_sourcelist_detection_id"))
        batch_op.drop_column("detection_id")

    with op.batch_alter_table("source", schema=None) as batch_op:
        batch_op.drop_column("NIMAFLAGS_ISO")
        batch_op.drop_column("IMAFLAGS_ISO")
        batch_op.drop_column("FLAGS_WEIGHT")
