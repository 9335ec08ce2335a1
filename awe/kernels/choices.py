"""Choices that users make among the ways of the kernels; imports nothing heavy, so that the model can name them."""

from enum import StrEnum


class Overscan(StrEnum):
    """How the bias level follows from the overscan."""

    NONE = "none"
    CONSTANT = "constant"
    PER_ROW = "per_row"


class Combine(StrEnum):
    """How images are combined, per pixel."""

    MEAN = "mean"
    MEDIAN = "median"
    CLIPPED = "clipped"
    WEIGHTED = "weighted"


class Association(StrEnum):
    """How sources are joined."""

    CHAIN = "chain"
    """Friends of friends: all sources linked by steps shorter than the radius, of any list."""
    MASTER = "master"
    """Sources of the first list, each with its mutual nearest of every other list; others stay alone."""
    MATCHED = "matched"
    """List by list: each is matched to the mean positions of the associates of the lists before it."""


class Kernel(StrEnum):
    """How an image is interpolated between its pixels."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    LANCZOS2 = "lanczos2"
    LANCZOS3 = "lanczos3"
    LANCZOS4 = "lanczos4"
    TEXTBOOK_LANCZOS3 = "textbook-lanczos3"
    """Lanczos3 without the correction of its moments: the kernel of SWarp, to compare with what that makes."""

    @property
    def taps(self) -> int:
        """Number of rows, and of columns, of input pixels that make an output pixel."""
        return {"nearest": 2, "bilinear": 2, "lanczos2": 4, "lanczos4": 8}.get(self.value, 6)

    @property
    def origin(self) -> float:
        """Where the phases 0 to 1 begin, relative to the centre of a pixel."""
        return -0.5 if self is Kernel.NEAREST else 0.0


class Method(StrEnum):
    """How the values of an output pixel become one."""

    WEIGHTED = "weighted"
    AVERAGE = "average"
    MEDIAN = "median"
    CLIPPED = "clipped"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    SUM = "sum"
    CHI_SQUARED = "chi-squared"


class FlagRule(StrEnum):
    """How the flags of the inputs of an output pixel become one."""

    OR = "or"
    """A bit is set if any of the inputs used has it."""
    AND = "and"
    """If all of them have it."""
    NOR = "nor"
    """If none of them has it."""


class FocalPlane(StrEnum):
    """What the chips of a camera have in common in all exposures of a global astrometric solution."""

    FIXED = "fixed"
    """Place and distortion: an exposure moves, turns and stretches the focal plane as a whole."""
    LOOSE = "loose"
    """The distortion; each chip may besides move, turn and stretch a little in each exposure."""
    FREE = "free"
    """Nothing: each chip of each exposure has a polynomial of its own."""


class PixelArea(StrEnum):
    """How the size of pixels enters the flux: sky flats already take out how it varies over a chip."""

    FIXED = "fixed"
    VARIABLE = "variable"
