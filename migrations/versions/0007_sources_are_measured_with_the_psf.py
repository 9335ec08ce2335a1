"""sources are measured with the PSF of their frame."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


FLAGS_BEFORE = "bits as in SExtractor: 1 neighbours, 2 blended, 4 saturated, 8 truncated"
FLAGS_NOW = f"{FLAGS_BEFORE}, 16 aperture incomplete; 256 windowed position failed"


def upgrade() -> None:
    """Apply the migration."""
    _say_of_flags(FLAGS_NOW, FLAGS_BEFORE)
    op.create_table(
        "psfmodel",
        sa.Column("fwhm", sa.Double(), nullable=True, comment="FWHM of the model in the middle"),
        sa.Column("seeing", sa.Double(), nullable=True, comment="the same on the sky"),
        sa.Column("ellipticity", sa.Double(), nullable=True, comment="1 - B/A of the model in the middle"),
        sa.Column("n_candidates", sa.Integer(), nullable=True, comment="stars that were tried"),
        sa.Column("n_stars", sa.Integer(), nullable=True, comment="stars that were used"),
        sa.Column("chi2", sa.Double(), nullable=True, comment="mean square of their residuals in units of the errors"),
        sa.Column("degree", sa.Integer(), nullable=True, comment="degree of the polynomial that the stars allow"),
        sa.Column(
            "sampling", sa.Double(), nullable=True, comment="size of a pixel of the picture, in pixels of the frame"
        ),
        sa.Column("object_id", sa.Integer(), nullable=False),
        sa.Column("frame_id", sa.Integer(), nullable=False),
        sa.Column("weight_id", sa.Integer(), nullable=True),
        sa.Column("background_id", sa.Integer(), nullable=True),
        sa.Column("param_detect_thresh", sa.Float(), nullable=False, comment="detection threshold (DETECT_THRESH)"),
        sa.Column(
            "param_psfvar_degrees",
            sa.Integer(),
            nullable=False,
            comment="degree of the polynomial across the frame (PSFVAR_DEGREES)",
        ),
        sa.Column(
            "param_psf_sampling",
            sa.Float(),
            nullable=False,
            comment="size of a pixel of the picture (PSF_SAMPLING); 0 = a quarter of the FWHM",
        ),
        sa.Column(
            "param_sample_minsn", sa.Float(), nullable=False, comment="least signal to noise of a star (SAMPLE_MINSN)"
        ),
        sa.Column(
            "param_sample_maxellip",
            sa.Float(),
            nullable=False,
            comment="largest ellipticity of a star (SAMPLE_MAXELLIP)",
        ),
        sa.Column("filename", sa.String(), nullable=True, comment="name of the file on the data servers"),
        sa.Column("size", sa.BigInteger(), nullable=True, comment="size of the file"),
        sa.Column("sha256", sa.String(), nullable=True, comment="SHA-256 of the file"),
        sa.ForeignKeyConstraint(
            ["background_id"], ["backgroundframe.object_id"], name=op.f("fk_psfmodel_background_id")
        ),
        sa.ForeignKeyConstraint(["frame_id"], ["frame.object_id"], name=op.f("fk_psfmodel_frame_id")),
        sa.ForeignKeyConstraint(["object_id"], ["persistent.object_id"], name=op.f("fk_psfmodel_object_id")),
        sa.ForeignKeyConstraint(["weight_id"], ["weightframe.object_id"], name=op.f("fk_psfmodel_weight_id")),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_psfmodel")),
    )
    with op.batch_alter_table("psfmodel", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_psfmodel_background_id"), ["background_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_psfmodel_filename"), ["filename"], unique=False)
        batch_op.create_index(batch_op.f("ix_psfmodel_frame_id"), ["frame_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_psfmodel_weight_id"), ["weight_id"], unique=False)

    with op.batch_alter_table("source", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("PETRO_RADIUS", sa.REAL(), nullable=True, comment="Petrosian radius in units of A_IMAGE")
        )
        batch_op.add_column(
            sa.Column("FLUX_PETRO", sa.REAL(), nullable=True, comment="flux within two Petrosian radii")
        )
        batch_op.add_column(sa.Column("FLUXERR_PETRO", sa.REAL(), nullable=True, comment="its error"))
        batch_op.add_column(
            sa.Column("XPSF_IMAGE", sa.Double(), nullable=True, comment="x of the fitted PSF; first pixel is 0")
        )
        batch_op.add_column(
            sa.Column("YPSF_IMAGE", sa.Double(), nullable=True, comment="y of the fitted PSF; first pixel is 0")
        )
        batch_op.add_column(
            sa.Column(
                "ERRXPSF_IMAGE",
                sa.REAL(),
                nullable=True,
                comment="error of XPSF_IMAGE; none if the place was not fitted",
            )
        )
        batch_op.add_column(
            sa.Column(
                "ERRYPSF_IMAGE",
                sa.REAL(),
                nullable=True,
                comment="error of YPSF_IMAGE; none if the place was not fitted",
            )
        )
        batch_op.add_column(sa.Column("FLUX_PSF", sa.REAL(), nullable=True, comment="flux of the fitted PSF"))
        batch_op.add_column(sa.Column("FLUXERR_PSF", sa.REAL(), nullable=True, comment="its error"))
        batch_op.add_column(sa.Column("MAG_PSF", sa.REAL(), nullable=True, comment="magnitude of the fitted PSF"))
        batch_op.add_column(
            sa.Column("MAGERR_PSF", sa.REAL(), nullable=True, comment="its error, without that of the zeropoint")
        )
        batch_op.add_column(
            sa.Column(
                "CHI2_PSF",
                sa.REAL(),
                nullable=True,
                comment="mean square of the residuals of the fit in units of their errors",
            )
        )
        batch_op.add_column(
            sa.Column(
                "SPREAD_MODEL", sa.REAL(), nullable=True, comment="0 like the PSF, positive wider, negative sharper"
            )
        )
        batch_op.add_column(sa.Column("SPREADERR_MODEL", sa.REAL(), nullable=True, comment="its error"))

    with op.batch_alter_table("sourcelist", schema=None) as batch_op:
        batch_op.add_column(sa.Column("psf_id", sa.Integer(), nullable=True))
        batch_op.create_index(batch_op.f("ix_sourcelist_psf_id"), ["psf_id"], unique=False)
        batch_op.create_foreign_key(batch_op.f("fk_sourcelist_psf_id"), "psfmodel", ["psf_id"], ["object_id"])


def downgrade() -> None:
    """Undo the migration."""
    _say_of_flags(FLAGS_BEFORE, FLAGS_NOW)
    with op.batch_alter_table("sourcelist", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_sourcelist_psf_id"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_sourcelist_psf_id"))
        batch_op.drop_column("psf_id")

    with op.batch_alter_table("source", schema=None) as batch_op:
        batch_op.drop_column("SPREADERR_MODEL")
        batch_op.drop_column("SPREAD_MODEL")
        batch_op.drop_column("CHI2_PSF")
        batch_op.drop_column("MAGERR_PSF")
        batch_op.drop_column("MAG_PSF")
        batch_op.drop_column("FLUXERR_PSF")
        batch_op.drop_column("FLUX_PSF")
        batch_op.drop_column("ERRYPSF_IMAGE")
        batch_op.drop_column("ERRXPSF_IMAGE")
        batch_op.drop_column("YPSF_IMAGE")
        batch_op.drop_column("XPSF_IMAGE")
        batch_op.drop_column("FLUXERR_PETRO")
        batch_op.drop_column("FLUX_PETRO")
        batch_op.drop_column("PETRO_RADIUS")

    with op.batch_alter_table("psfmodel", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_psfmodel_weight_id"))
        batch_op.drop_index(batch_op.f("ix_psfmodel_frame_id"))
        batch_op.drop_index(batch_op.f("ix_psfmodel_filename"))
        batch_op.drop_index(batch_op.f("ix_psfmodel_background_id"))

    op.drop_table("psfmodel")


def _say_of_flags(now: str, before: str) -> None:
    if op.get_bind().dialect.name == "postgresql":  # SQLite keeps no comments
        op.alter_column("source", "FLAGS", existing_type=sa.Integer(), comment=now, existing_comment=before)
