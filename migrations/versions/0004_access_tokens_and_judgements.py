"""Access tokens, and the history of judgements."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "access_token",
        sa.Column("token_id", sa.Integer(), nullable=False),
        sa.Column("user", sa.String(), nullable=False, comment="whose token it is"),
        sa.Column(
            "project",
            sa.String(),
            nullable=False,
            comment="project whose objects it opens; empty: only those the user made",
        ),
        sa.Column("digest", sa.String(), nullable=False, comment="SHA-256 of the token"),
        sa.Column("created", sa.DateTime(), nullable=False, comment="when it was issued (UTC)"),
        sa.Column("revoked", sa.DateTime(), nullable=True, comment="when it was revoked (UTC)"),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_access_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_access_token_digest")),
    )
    with op.batch_alter_table("access_token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_access_token_user"), ["user"], unique=False)

    op.create_table(
        "signed_in",
        sa.Column("signed_in_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False, comment="SHA-256 of the number that the browser keeps"),
        sa.Column("token_id", sa.Integer(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False, comment="when (UTC)"),
        sa.Column("expires", sa.DateTime(), nullable=False, comment="until when it holds (UTC)"),
        sa.ForeignKeyConstraint(
            ["token_id"], ["access_token.token_id"], name=op.f("fk_signed_in_token_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("signed_in_id", name=op.f("pk_signed_in")),
        sa.UniqueConstraint("digest", name=op.f("uq_signed_in_digest")),
    )
    with op.batch_alter_table("signed_in", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_signed_in_expires"), ["expires"], unique=False)
        batch_op.create_index(batch_op.f("ix_signed_in_token_id"), ["token_id"], unique=False)

    op.create_table(
        "judgement",
        sa.Column("judgement_id", sa.Integer(), nullable=False),
        sa.Column("object_id", sa.Integer(), nullable=False, comment="object that was judged"),
        sa.Column("moment", sa.DateTime(), nullable=False, comment="when (UTC)"),
        sa.Column("creator", sa.String(), nullable=False, comment="who"),
        sa.Column("subject", sa.String(), nullable=False, comment="what changed: is_valid, quality_flags; or comment"),
        sa.Column("before", sa.Integer(), nullable=True, comment="what it was"),
        sa.Column("after", sa.Integer(), nullable=True, comment="what it is since"),
        sa.Column("text", sa.String(), nullable=False, comment="the reason, or the comment"),
        sa.ForeignKeyConstraint(
            ["object_id"], ["persistent.object_id"], name=op.f("fk_judgement_object_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("judgement_id", name=op.f("pk_judgement")),
    )
    with op.batch_alter_table("judgement", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_judgement_creator"), ["creator"], unique=False)
        batch_op.create_index(batch_op.f("ix_judgement_object_id"), ["object_id"], unique=False)


def downgrade() -> None:
    """Undo the migration."""
    with op.batch_alter_table("judgement", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_judgement_object_id"))
        batch_op.drop_index(batch_op.f("ix_judgement_creator"))

    op.drop_table("judgement")
    with op.batch_alter_table("signed_in", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_signed_in_token_id"))
        batch_op.drop_index(batch_op.f("ix_signed_in_expires"))

    op.drop_table("signed_in")
    with op.batch_alter_table("access_token", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_access_token_user"))

    op.drop_table("access_token")
