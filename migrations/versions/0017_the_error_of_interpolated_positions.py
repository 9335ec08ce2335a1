"""The largest error of interpolated positions, as a parameter of regridding."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

PROJECTION_ERR = (
    "largest error of the positions between those that are calculated (PROJECTION_ERR); 0 = each is calculated"
)


def upgrade() -> None:
    """Apply the migration: frames that were regridded here were so to a thousandth of a pixel."""
    op.add_column("regriddedframe", sa.Column("param_projection_err", sa.Float(), comment=PROJECTION_ERR))
    # frames that were made elsewhere have no parameters
    op.execute("UPDATE regriddedframe SET param_projection_err = 0.001 WHERE param_kernel IS NOT NULL")


def downgrade() -> None:
    """Undo the migration."""
    op.drop_column("regriddedframe", "param_projection_err")
