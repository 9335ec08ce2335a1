"""Crosstalk, linearity, fringes and illumination are corrected where instruments declare them."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "crosstalk",
        sa.Column("digest", sa.String(), nullable=False, comment="SHA-256 of the coefficients"),
        sa.Column(
            "coefficients",
            sa.JSON(),
            nullable=False,
            comment="pairs of victim and aggressor, each chip or chip:amplifier, with the part of the signal that appears, and whether the aggressor is read from the other end in x and y",
        ),
        sa.Column("object_id", sa.Integer(), nullable=False),
        sa.Column("instrument_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["instrument_id"], ["instrument.object_id"], name=op.f("fk_crosstalk_instrument_id")),
        sa.ForeignKeyConstraint(["object_id"], ["persistent.object_id"], name=op.f("fk_crosstalk_object_id")),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_crosstalk")),
    )
    with op.batch_alter_table("crosstalk", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_crosstalk_digest"), ["digest"], unique=False)
        batch_op.create_index(batch_op.f("ix_crosstalk_instrument_id"), ["instrument_id"], unique=False)

    op.create_table(
        "illuminationcorrection",
        sa.Column(
            "degree",
            sa.Integer(),
            nullable=True,
            comment="degree of the polynomial; 0: there were too few stars, nothing is corrected",
        ),
        sa.Column(
            "coefficients",
            sa.JSON(),
            nullable=True,
            comment="of products of Legendre polynomials in x and y, by degrees in x and y; mag",
        ),
        sa.Column("peak_to_peak", sa.Double(), nullable=True, comment="range of the correction over the chip"),
        sa.Column("error", sa.Double(), nullable=True, comment="median standard error of the correction"),
        sa.Column("scatter", sa.Double(), nullable=True, comment="scatter of the stars about it"),
        sa.Column("n_stars", sa.Integer(), nullable=True, comment="stars that were used"),
        sa.Column("n_rejected", sa.Integer(), nullable=True, comment="stars that were rejected as outliers"),
        sa.Column("object_id", sa.Integer(), nullable=False),
        sa.Column(
            "param_degree", sa.Integer(), nullable=False, comment="highest total degree of the polynomial in x and y"
        ),
        sa.Column(
            "param_pixel_area",
            sa.Enum("fixed", "variable", name="pixelarea", native_enum=False, length=32),
            nullable=False,
            comment="as that of the frames that are regridded: fixed, the size of pixels is no illumination",
        ),
        sa.Column("param_sigma_clip", sa.Float(), nullable=False, comment="rejection of outliers"),
        sa.Column("valid_from", sa.DateTime(), nullable=False, comment="start of the interval it holds for (UTC)"),
        sa.Column(
            "valid_to", sa.DateTime(), nullable=False, comment="end of the interval it holds for (UTC), exclusive"
        ),
        sa.ForeignKeyConstraint(["object_id"], ["frame.object_id"], name=op.f("fk_illuminationcorrection_object_id")),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_illuminationcorrection")),
    )
    with op.batch_alter_table("illuminationcorrection", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_illuminationcorrection_valid_from"), ["valid_from"], unique=False)

    op.create_table(
        "gainlinearity",
        sa.Column(
            "coefficients",
            sa.JSON(),
            nullable=True,
            comment="true level = m (1 + c0 m + c1 m2 + ...) for m adu above bias; adu-1, adu-2, ...",
        ),
        sa.Column("deviation", sa.Double(), nullable=True, comment="relative correction at the upper end of the range"),
        sa.Column("deviation_error", sa.Double(), nullable=True, comment="standard error of that"),
        sa.Column("minimum", sa.Double(), nullable=True, comment="lower end of the range of levels that it holds for"),
        sa.Column(
            "maximum",
            sa.Double(),
            nullable=True,
            comment="upper end of the range; above, the relative correction stays as it is there",
        ),
        sa.Column("scatter", sa.Double(), nullable=True, comment="rms of the relative residuals of the pairs"),
        sa.Column("n_pairs", sa.Integer(), nullable=True, comment="pairs that were used"),
        sa.Column("rate", sa.Double(), nullable=True, comment="light of the lamp"),
        sa.Column("gain", sa.Double(), nullable=True, comment="gain by photon transfer"),
        sa.Column("gain_error", sa.Double(), nullable=True, comment="standard error of the gain"),
        sa.Column("header_gain", sa.Double(), nullable=True, comment="gain by header or instrument file"),
        sa.Column("flat_noise", sa.Double(), nullable=True, comment="read noise by photon transfer"),
        sa.Column("flat_noise_error", sa.Double(), nullable=True, comment="standard error of that"),
        sa.Column(
            "chi_squared", sa.Double(), nullable=True, comment="of the photon transfer, for one degree of freedom"
        ),
        sa.Column("object_id", sa.Integer(), nullable=False),
        sa.Column("chip_id", sa.Integer(), nullable=False),
        sa.Column("bias_id", sa.Integer(), nullable=False),
        sa.Column("read_noise_id", sa.Integer(), nullable=False),
        sa.Column(
            "param_overscan",
            sa.Enum("none", "constant", "per_row", name="overscan", native_enum=False, length=32),
            nullable=False,
            comment="how the overscan level is removed",
        ),
        sa.Column("param_order", sa.Integer(), nullable=False, comment="number of coefficients"),
        sa.Column(
            "param_tolerance",
            sa.Float(),
            nullable=False,
            comment="fraction by which gain and read noise may differ from what was known",
        ),
        sa.Column("filename", sa.String(), nullable=True, comment="name of the file on the data servers"),
        sa.Column("size", sa.BigInteger(), nullable=True, comment="size of the file"),
        sa.Column("sha256", sa.String(), nullable=True, comment="SHA-256 of the file"),
        sa.Column("valid_from", sa.DateTime(), nullable=False, comment="start of the interval it holds for (UTC)"),
        sa.Column(
            "valid_to", sa.DateTime(), nullable=False, comment="end of the interval it holds for (UTC), exclusive"
        ),
        sa.ForeignKeyConstraint(["bias_id"], ["biasframe.object_id"], name=op.f("fk_gainlinearity_bias_id")),
        sa.ForeignKeyConstraint(["chip_id"], ["chip.object_id"], name=op.f("fk_gainlinearity_chip_id")),
        sa.ForeignKeyConstraint(["object_id"], ["persistent.object_id"], name=op.f("fk_gainlinearity_object_id")),
        sa.ForeignKeyConstraint(
            ["read_noise_id"], ["readnoise.object_id"], name=op.f("fk_gainlinearity_read_noise_id")
        ),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_gainlinearity")),
    )
    with op.batch_alter_table("gainlinearity", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_gainlinearity_bias_id"), ["bias_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_gainlinearity_chip_id"), ["chip_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_gainlinearity_filename"), ["filename"], unique=False)
        batch_op.create_index(batch_op.f("ix_gainlinearity_read_noise_id"), ["read_noise_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_gainlinearity_valid_from"), ["valid_from"], unique=False)

    op.create_table(
        "gainlinearity_raw_flats",
        sa.Column("product_id", sa.Integer(), nullable=False),
        sa.Column("input_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False, comment="order among the inputs, from 0"),
        sa.Column("used", sa.Boolean(), nullable=False, comment="false: looked at and left out"),
        sa.Column("weight", sa.Float(), nullable=True, comment="weight of the input in the result"),
        sa.Column("reason", sa.String(), nullable=True, comment="why it was left out"),
        sa.ForeignKeyConstraint(["input_id"], ["rawframe.object_id"], name=op.f("fk_gainlinearity_raw_flats_input_id")),
        sa.ForeignKeyConstraint(
            ["product_id"],
            ["gainlinearity.object_id"],
            name=op.f("fk_gainlinearity_raw_flats_product_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("product_id", "input_id", name=op.f("pk_gainlinearity_raw_flats")),
    )
    with op.batch_alter_table("gainlinearity_raw_flats", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_gainlinearity_raw_flats_input_id"), ["input_id"], unique=False)

    op.create_table(
        "fringeframe",
        sa.Column("rms", sa.Double(), nullable=True, comment="rms of the pattern, without noise, relative to the sky"),
        sa.Column("noise", sa.Double(), nullable=True, comment="noise of a pixel of the pattern, relative to the sky"),
        sa.Column("level", sa.Double(), nullable=True, comment="median sky level of the exposures"),
        sa.Column("n_frames", sa.Integer(), nullable=True, comment="exposures that were combined"),
        sa.Column("object_id", sa.Integer(), nullable=False),
        sa.Column("bias_id", sa.Integer(), nullable=False),
        sa.Column("dark_id", sa.Integer(), nullable=True),
        sa.Column("flat_id", sa.Integer(), nullable=False),
        sa.Column("hot_pixels_id", sa.Integer(), nullable=False),
        sa.Column("cold_pixels_id", sa.Integer(), nullable=False),
        sa.Column("linearity_id", sa.Integer(), nullable=True),
        sa.Column(
            "param_overscan",
            sa.Enum("none", "constant", "per_row", name="overscan", native_enum=False, length=32),
            nullable=False,
            comment="how the overscan level is removed",
        ),
        sa.Column(
            "param_cell",
            sa.Integer(),
            nullable=False,
            comment="size of a cell of the background: what is larger is no fringe",
        ),
        sa.Column(
            "param_combine",
            sa.Enum("mean", "median", "clipped", "weighted", name="combine", native_enum=False, length=32),
            nullable=False,
            comment="how the frames are combined",
        ),
        sa.Column("param_sigma_clip", sa.Float(), nullable=False, comment="rejection threshold"),
        sa.Column(
            "param_smoothing", sa.Float(), nullable=False, comment="sigma of the Gaussian that smooths the pattern"
        ),
        sa.Column(
            "param_least_sky",
            sa.Float(),
            nullable=False,
            comment="part of the brightest sky below which an exposure is left out",
        ),
        sa.Column("valid_from", sa.DateTime(), nullable=False, comment="start of the interval it holds for (UTC)"),
        sa.Column(
            "valid_to", sa.DateTime(), nullable=False, comment="end of the interval it holds for (UTC), exclusive"
        ),
        sa.ForeignKeyConstraint(["bias_id"], ["biasframe.object_id"], name=op.f("fk_fringeframe_bias_id")),
        sa.ForeignKeyConstraint(
            ["cold_pixels_id"], ["coldpixelmap.object_id"], name=op.f("fk_fringeframe_cold_pixels_id")
        ),
        sa.ForeignKeyConstraint(["dark_id"], ["darkframe.object_id"], name=op.f("fk_fringeframe_dark_id")),
        sa.ForeignKeyConstraint(["flat_id"], ["masterflatframe.object_id"], name=op.f("fk_fringeframe_flat_id")),
        sa.ForeignKeyConstraint(
            ["hot_pixels_id"], ["hotpixelmap.object_id"], name=op.f("fk_fringeframe_hot_pixels_id")
        ),
        sa.ForeignKeyConstraint(
            ["linearity_id"], ["gainlinearity.object_id"], name=op.f("fk_fringeframe_linearity_id")
        ),
        sa.ForeignKeyConstraint(["object_id"], ["frame.object_id"], name=op.f("fk_fringeframe_object_id")),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_fringeframe")),
    )
    with op.batch_alter_table("fringeframe", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fringeframe_bias_id"), ["bias_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_fringeframe_cold_pixels_id"), ["cold_pixels_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_fringeframe_dark_id"), ["dark_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_fringeframe_flat_id"), ["flat_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_fringeframe_hot_pixels_id"), ["hot_pixels_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_fringeframe_linearity_id"), ["linearity_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_fringeframe_valid_from"), ["valid_from"], unique=False)

    op.create_table(
        "fringeframe_raws",
        sa.Column("product_id", sa.Integer(), nullable=False),
        sa.Column("input_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False, comment="order among the inputs, from 0"),
        sa.Column("used", sa.Boolean(), nullable=False, comment="false: looked at and left out"),
        sa.Column("weight", sa.Float(), nullable=True, comment="weight of the input in the result"),
        sa.Column("reason", sa.String(), nullable=True, comment="why it was left out"),
        sa.ForeignKeyConstraint(["input_id"], ["rawframe.object_id"], name=op.f("fk_fringeframe_raws_input_id")),
        sa.ForeignKeyConstraint(
            ["product_id"], ["fringeframe.object_id"], name=op.f("fk_fringeframe_raws_product_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("product_id", "input_id", name=op.f("pk_fringeframe_raws")),
    )
    with op.batch_alter_table("fringeframe_raws", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fringeframe_raws_input_id"), ["input_id"], unique=False)

    op.create_table(
        "reducedframe_aggressors",
        sa.Column("product_id", sa.Integer(), nullable=False),
        sa.Column("input_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False, comment="order among the inputs, from 0"),
        sa.Column("used", sa.Boolean(), nullable=False, comment="false: looked at and left out"),
        sa.Column("weight", sa.Float(), nullable=True, comment="weight of the input in the result"),
        sa.Column("reason", sa.String(), nullable=True, comment="why it was left out"),
        sa.ForeignKeyConstraint(["input_id"], ["rawframe.object_id"], name=op.f("fk_reducedframe_aggressors_input_id")),
        sa.ForeignKeyConstraint(
            ["product_id"],
            ["reducedframe.object_id"],
            name=op.f("fk_reducedframe_aggressors_product_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("product_id", "input_id", name=op.f("pk_reducedframe_aggressors")),
    )
    with op.batch_alter_table("reducedframe_aggressors", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reducedframe_aggressors_input_id"), ["input_id"], unique=False)

    op.create_table(
        "illuminationcorrection_photometry",
        sa.Column("product_id", sa.Integer(), nullable=False),
        sa.Column("input_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False, comment="order among the inputs, from 0"),
        sa.Column("used", sa.Boolean(), nullable=False, comment="false: looked at and left out"),
        sa.Column("weight", sa.Float(), nullable=True, comment="weight of the input in the result"),
        sa.Column("reason", sa.String(), nullable=True, comment="why it was left out"),
        sa.ForeignKeyConstraint(
            ["input_id"],
            ["photometricparameters.object_id"],
            name=op.f("fk_illuminationcorrection_photometry_input_id"),
        ),
        sa.ForeignKeyConstraint(
            ["product_id"],
            ["illuminationcorrection.object_id"],
            name=op.f("fk_illuminationcorrection_photometry_product_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("product_id", "input_id", name=op.f("pk_illuminationcorrection_photometry")),
    )
    with op.batch_alter_table("illuminationcorrection_photometry", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_illuminationcorrection_photometry_input_id"), ["input_id"], unique=False)

    with op.batch_alter_table("domeflatframe", schema=None) as batch_op:
        batch_op.add_column(sa.Column("linearity_id", sa.Integer(), nullable=True))
        batch_op.create_index(batch_op.f("ix_domeflatframe_linearity_id"), ["linearity_id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_domeflatframe_linearity_id"), "gainlinearity", ["linearity_id"], ["object_id"]
        )

    with op.batch_alter_table("instrument", schema=None) as batch_op:
        words = (
            "corrections that its file declares: filters with fringes and with an illumination correction, range of the "
            "linearity, digest of the crosstalk"
        )
        batch_op.add_column(sa.Column("corrections", sa.JSON(), nullable=False, comment=words, server_default="{}"))
    with op.batch_alter_table("instrument") as batch_op:
        batch_op.alter_column("corrections", existing_type=sa.JSON(), existing_nullable=False, server_default=None)

    with op.batch_alter_table("reducedframe", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("fringe_scale", sa.Double(), nullable=True, comment="by what the fringe pattern was multiplied")
        )
        batch_op.add_column(
            sa.Column("fringe_scale_error", sa.Double(), nullable=True, comment="standard error of that")
        )
        batch_op.add_column(sa.Column("crosstalk_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("linearity_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("fringes_id", sa.Integer(), nullable=True))
        batch_op.create_index(batch_op.f("ix_reducedframe_crosstalk_id"), ["crosstalk_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_reducedframe_fringes_id"), ["fringes_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_reducedframe_linearity_id"), ["linearity_id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_reducedframe_fringes_id"), "fringeframe", ["fringes_id"], ["object_id"]
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_reducedframe_linearity_id"), "gainlinearity", ["linearity_id"], ["object_id"]
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_reducedframe_crosstalk_id"), "crosstalk", ["crosstalk_id"], ["object_id"]
        )

    with op.batch_alter_table("regriddedframe", schema=None) as batch_op:
        batch_op.add_column(sa.Column("illumination_id", sa.Integer(), nullable=True))
        batch_op.create_index(batch_op.f("ix_regriddedframe_illumination_id"), ["illumination_id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_regriddedframe_illumination_id"),
            "illuminationcorrection",
            ["illumination_id"],
            ["object_id"],
        )

    with op.batch_alter_table("twilightflatframe", schema=None) as batch_op:
        batch_op.add_column(sa.Column("linearity_id", sa.Integer(), nullable=True))
        batch_op.create_index(batch_op.f("ix_twilightflatframe_linearity_id"), ["linearity_id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_twilightflatframe_linearity_id"), "gainlinearity", ["linearity_id"], ["object_id"]
        )


def downgrade() -> None:
    """Undo the migration."""
    with op.batch_alter_table("twilightflatframe", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_twilightflatframe_linearity_id"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_twilightflatframe_linearity_id"))
        batch_op.drop_column("linearity_id")

    with op.batch_alter_table("regriddedframe", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_regriddedframe_illumination_id"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_regriddedframe_illumination_id"))
        batch_op.drop_column("illumination_id")

    with op.batch_alter_table("reducedframe", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_reducedframe_crosstalk_id"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_reducedframe_linearity_id"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_reducedframe_fringes_id"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_reducedframe_linearity_id"))
        batch_op.drop_index(batch_op.f("ix_reducedframe_fringes_id"))
        batch_op.drop_index(batch_op.f("ix_reducedframe_crosstalk_id"))
        batch_op.drop_column("fringes_id")
        batch_op.drop_column("linearity_id")
        batch_op.drop_column("crosstalk_id")
        batch_op.drop_column("fringe_scale_error")
        batch_op.drop_column("fringe_scale")

    with op.batch_alter_table("instrument", schema=None) as batch_op:
        batch_op.drop_column("corrections")

    with op.batch_alter_table("domeflatframe", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_domeflatframe_linearity_id"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_domeflatframe_linearity_id"))
        batch_op.drop_column("linearity_id")

    with op.batch_alter_table("illuminationcorrection_photometry", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_illuminationcorrection_photometry_input_id"))

    op.drop_table("illuminationcorrection_photometry")
    with op.batch_alter_table("reducedframe_aggressors", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reducedframe_aggressors_input_id"))

    op.drop_table("reducedframe_aggressors")
    with op.batch_alter_table("fringeframe_raws", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_fringeframe_raws_input_id"))

    op.drop_table("fringeframe_raws")
    with op.batch_alter_table("fringeframe", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_fringeframe_valid_from"))
        batch_op.drop_index(batch_op.f("ix_fringeframe_linearity_id"))
        batch_op.drop_index(batch_op.f("ix_fringeframe_hot_pixels_id"))
        batch_op.drop_index(batch_op.f("ix_fringeframe_flat_id"))
        batch_op.drop_index(batch_op.f("ix_fringeframe_dark_id"))
        batch_op.drop_index(batch_op.f("ix_fringeframe_cold_pixels_id"))
        batch_op.drop_index(batch_op.f("ix_fringeframe_bias_id"))

    op.drop_table("fringeframe")
    with op.batch_alter_table("gainlinearity_raw_flats", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_gainlinearity_raw_flats_input_id"))

    op.drop_table("gainlinearity_raw_flats")
    with op.batch_alter_table("gainlinearity", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_gainlinearity_valid_from"))
        batch_op.drop_index(batch_op.f("ix_gainlinearity_read_noise_id"))
        batch_op.drop_index(batch_op.f("ix_gainlinearity_filename"))
        batch_op.drop_index(batch_op.f("ix_gainlinearity_chip_id"))
        batch_op.drop_index(batch_op.f("ix_gainlinearity_bias_id"))

    op.drop_table("gainlinearity")
    with op.batch_alter_table("illuminationcorrection", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_illuminationcorrection_valid_from"))

    op.drop_table("illuminationcorrection")
    with op.batch_alter_table("crosstalk", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_crosstalk_instrument_id"))
        batch_op.drop_index(batch_op.f("ix_crosstalk_digest"))

    op.drop_table("crosstalk")
