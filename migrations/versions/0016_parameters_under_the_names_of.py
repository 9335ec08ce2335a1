"""Parameters under the names that SExtractor and SWarp use, and the oversampling of regridding as one of them."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

RENAMED = (
    ("backgroundframe", "cell", "back_size"),
    ("backgroundframe", "filter_size", "back_filtersize"),
    ("fringeframe", "cell", "back_size"),
    ("astrometricparameters", "threshold", "detect_thresh"),
    ("globalastrometry", "threshold", "detect_thresh"),
)

WORDS = (
    (
        "globalastrometry",
        "focal_plane",
        "what the chips have in common in all exposures",
        "what the chips have in common in all exposures (MOSAIC_TYPE)",
    ),
    (
        "globalastrometry",
        "degree",
        "degree of the distortion of a chip",
        "degree of the distortion of a chip (DISTORT_DEGREES)",
    ),
    (
        "globalastrometry",
        "reference_weight",
        "weight of the catalogue beside that which errors give (lambda)",
        "weight of the catalogue beside that which errors give (ASTREF_WEIGHT; lambda)",
    ),
    ("globalastrometry", "detect_thresh", "detection threshold", "detection threshold (DETECT_THRESH)"),
    (
        "globalastrometry",
        "least_signal",
        "signal to noise from which a source takes part",
        "signal to noise from which a source takes part (SN_THRESHOLDS)",
    ),
    (
        "globalastrometry",
        "final_radius",
        "... and in the end; at least 2 pixels",
        "... and in the end (CROSSID_RADIUS); at least 2 pixels",
    ),
    (
        "globalastrometry",
        "maximum_offset",
        "pointing error that is searched",
        "pointing error that is searched (POSITION_MAXERR)",
    ),
    ("globalastrometry", "sigma_clip", "rejection of outliers", "rejection of outliers (ASTRCLIP_NSIGMA)"),
    (
        "photometricsolution",
        "least_signal",
        "signal to noise from which a star takes part",
        "signal to noise from which a star takes part (SN_THRESHOLDS)",
    ),
    ("photometricsolution", "sigma_clip", "rejection of outliers", "rejection of outliers (PHOTCLIP_NSIGMA)"),
    ("coadd", "combine", "how the frames are combined", "how the frames are combined (COMBINE_TYPE)"),
    ("coadd", "threshold", "rejection threshold of clipping", "rejection threshold of clipping (CLIP_SIGMA)"),
    (
        "fringeframe",
        "back_size",
        "size of a cell of the background: what is larger is no fringe",
        "size of a cell of the background (BACK_SIZE): what is larger is no fringe",
    ),
    ("backgroundframe", "back_size", "size of a mesh cell", "size of a cell of the mesh (BACK_SIZE)"),
    (
        "backgroundframe",
        "back_filtersize",
        "size of the median filter over the mesh, in cells",
        "size of the median filter over the mesh, in cells (BACK_FILTERSIZE); odd",
    ),
    (
        "astrometricparameters",
        "detect_thresh",
        "detection threshold of stars, those of photometry too",
        "detection threshold of stars, those of photometry too (DETECT_THRESH)",
    ),
    (
        "astrometricparameters",
        "degree",
        "highest degree of the polynomial",
        "highest degree of the polynomial (DISTORT_DEGREES)",
    ),
    (
        "astrometricparameters",
        "radius",
        "largest distance of a star from its reference after the first fit",
        "largest distance of a star from its reference after the first fit (CROSSID_RADIUS)",
    ),
    (
        "astrometricparameters",
        "maximum_offset",
        "pointing error that is searched first; then half the diagonal of the frame",
        "pointing error that is searched first (POSITION_MAXERR); then half the diagonal of the frame",
    ),
    ("astrometricparameters", "sigma_clip", "rejection of outliers", "rejection of outliers (ASTRCLIP_NSIGMA)"),
    ("photometricparameters", "sigma_clip", "rejection of outliers", "rejection of outliers (PHOTCLIP_NSIGMA)"),
    ("regriddedframe", "kernel", "interpolation", "interpolation (RESAMPLING_TYPE)"),
    (
        "regriddedframe",
        "subtract_background",
        "whether the background is subtracted",
        "whether the background is subtracted (SUBTRACT_BACK)",
    ),
    (
        "regriddedframe",
        "pixel_area",
        "one area ratio for the frame (right after sky flats), or the local one of each pixel",
        "one area ratio for the frame (right after sky flats), or the local one of each pixel (FSCALASTRO_TYPE)",
    ),
)
"""Table and parameter, and what is said of it before and after."""
OVERSAMPLING = (
    "positions along a side of a pixel over which it averages (OVERSAMPLING); 0 = as many as its size asks for"
)


def upgrade() -> None:
    """Apply the migration: frames that were regridded here had as many positions as they needed."""
    for table, before, after in RENAMED:
        _rename(table, before, after)
    for table, name, _, after in WORDS:
        _say(table, name, after)
    op.add_column("regriddedframe", sa.Column("param_oversampling", sa.Integer(), comment=OVERSAMPLING))
    op.add_column(
        "regriddedframe",
        sa.Column("oversampled", sa.Integer(), comment="positions along a side of a pixel over which it averages"),
    )
    # frames that were made elsewhere have no parameters
    op.execute("UPDATE regriddedframe SET param_oversampling = 0 WHERE param_kernel IS NOT NULL")


def downgrade() -> None:
    """Undo the migration."""
    op.drop_column("regriddedframe", "oversampled")
    op.drop_column("regriddedframe", "param_oversampling")
    for table, name, before, _ in WORDS:
        _say(table, name, before)
    for table, before, after in RENAMED:
        _rename(table, after, before)


def _rename(table: str, before: str, after: str) -> None:
    op.execute(f"ALTER TABLE {table} RENAME COLUMN param_{before} TO param_{after}")


def _say(table: str, parameter: str, words: str) -> None:
    if op.get_bind().dialect.name == "postgresql":  # SQLite keeps no comments
        op.alter_column(table, f"param_{parameter}", comment=words)
