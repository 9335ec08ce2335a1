"""Frames made elsewhere: without inputs and process parameters, of cameras whose telescope may be unknown."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CHOICE = sa.VARCHAR(length=32)
OPTIONAL = {
    "coadd": {
        "grid_target_id": sa.INTEGER(),
        "param_combine": CHOICE,
        "param_threshold": sa.FLOAT(),
        "param_maximum_rms": sa.FLOAT(),
    },
    "reducedframe": {
        "raw_id": sa.INTEGER(),
        "saturated_pixels_id": sa.INTEGER(),
        "param_overscan": CHOICE,
        "param_maximum_bad": sa.FLOAT(),
    },
    "regriddedframe": {
        **{
            f"{name}_id": sa.INTEGER()
            for name in ("reduced", "grid_target", "weight", "background", "astrometry", "photometry")
        },
        "param_kernel": CHOICE,
        "param_zeropoint": sa.FLOAT(),
        "param_subtract_background": sa.BOOLEAN(),
        "param_pixel_area": CHOICE,
    },
    "instrument": {"telescope_id": sa.INTEGER()},
}


def upgrade() -> None:
    """Apply the migration."""
    _set_nullable(True)
    words = "made elsewhere and taken in as it was: without inputs here, so never stale"
    origin = "of an external frame: the files it came in (image, weight, flags)"
    with op.batch_alter_table("frame") as batch_op:
        batch_op.add_column(
            sa.Column("external", sa.Boolean(), nullable=False, comment=words, server_default=sa.false())
        )
        batch_op.add_column(sa.Column("origin", sa.String(), nullable=True, comment=origin))
        batch_op.add_column(
            sa.Column("origin_sha256", sa.String(), nullable=True, comment="SHA-256 over what those files hold")
        )
        batch_op.create_index(batch_op.f("ix_frame_external"), ["external"], unique=False)
        batch_op.create_index(batch_op.f("ix_frame_origin_sha256"), ["origin_sha256"], unique=False)
    with op.batch_alter_table("frame") as batch_op:  # the default was for the rows that were there
        batch_op.alter_column("external", existing_type=sa.Boolean(), existing_nullable=False, server_default=None)
    words = "of an external frame: magnitude of 1 unit of its pixels"
    with op.batch_alter_table("reducedframe") as batch_op:
        batch_op.add_column(sa.Column("zeropoint", sa.Double(), nullable=True, comment=words))


def downgrade() -> None:
    """Undo the migration."""
    with op.batch_alter_table("reducedframe") as batch_op:
        batch_op.drop_column("zeropoint")
    with op.batch_alter_table("frame") as batch_op:
        batch_op.drop_index(batch_op.f("ix_frame_origin_sha256"))
        batch_op.drop_index(batch_op.f("ix_frame_external"))
        for name in ("origin_sha256", "origin", "external"):
            batch_op.drop_column(name)
    _set_nullable(False)


def _set_nullable(nullable: bool) -> None:
    for table, columns in OPTIONAL.items():
        with op.batch_alter_table(table) as batch_op:
            for name, kind in columns.items():
                batch_op.alter_column(name, existing_type=kind, nullable=nullable)
