"""Coadds tell how flags are joined, and may have maps of the number of exposures and of the noise."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

WORDS = {
    "param_join_flags": "how the flags of the frames are joined",
    "param_count_map": "whether a map of the number of exposures of each pixel is stored",
    "param_noise_map": "whether a map of the noise of each pixel is stored",
}


def upgrade() -> None:
    """Apply the migration."""
    rule = sa.Enum("or", "and", "nor", name="flagrule", native_enum=False, length=32)
    with op.batch_alter_table("coadd") as batch_op:
        for name, words in WORDS.items():
            kind = rule if name == "param_join_flags" else sa.Boolean()
            batch_op.add_column(sa.Column(name, kind, nullable=True, comment=words))
    # what coadds made here were made with; those made elsewhere have no parameters
    op.execute(
        "UPDATE coadd SET param_join_flags = 'or', param_count_map = false, param_noise_map = false "
        "WHERE param_combine IS NOT NULL"
    )


def downgrade() -> None:
    """Undo the migration."""
    with op.batch_alter_table("coadd") as batch_op:
        for name in WORDS:
            batch_op.drop_column(name)
