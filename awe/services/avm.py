"""The place of a picture on the sky as AVM tags: an XMP packet of the Astronomy Visualization Metadata 1.2."""

from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np

from awe import __version__
from awe.kernels.wcs import Wcs

_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="awe {version}">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:avm="http://www.communicatingastronomy.org/avm/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/">
{tags}
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


@dataclass(frozen=True)
class PictureGrid:
    """The pixels of a picture on the pixels of an image: a part of it, averaged over blocks."""

    wcs: Wcs
    x0: int
    """First pixel of the image, from 0."""
    y0: int
    binning: int
    nx: int
    """Width of the picture."""
    ny: int

    def to_sky(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ra, dec (deg) of pixels of the picture, from 0 at its lower left."""
        image_x, image_y = (self._of_image(np.asarray(v, float), v0) for v, v0 in ((x, self.x0), (y, self.y0)))
        return self.wcs.to_sky(image_x, image_y)

    def to_pixel(self, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the pixels of the picture at positions on the sky."""
        x, y = self.wcs.to_pixel(ra, dec)
        return (x - self.x0 + 0.5) / self.binning - 0.5, (y - self.y0 + 0.5) / self.binning - 0.5

    def _of_image(self, values: np.ndarray, first: int) -> np.ndarray:
        return (values + 0.5) * self.binning - 0.5 + first


@dataclass(frozen=True)
class Place:
    """A tangential projection by the numbers that AVM keeps: reference point, scales and rotation."""

    crval: tuple[float, float]
    crpix: tuple[float, float]
    """From 1 at the centre of the lower left pixel of the picture."""
    scale: tuple[float, float]
    rotation: float
    error: float
    """Largest distance, in pixels of the picture, from the true positions at its corners and sides."""


def place_of(grid: PictureGrid) -> Place:
    """Return the tangential projection that fits a picture: exact for TAN, else the best about its centre."""
    cards = grid.wcs.cards
    if str(cards["CTYPE1"]).endswith("TAN"):
        crval = float(cards["CRVAL1"]), float(cards["CRVAL2"])
        crpix = tuple(
            (float(cards[f"CRPIX{i}"]) - 1 - first + 0.5) / grid.binning + 0.5
            for i, first in ((1, grid.x0), (2, grid.y0))
        )
        matrix = np.array([[float(cards.get(f"CD{i}_{j}", 0.0)) for j in (1, 2)] for i in (1, 2)]) * grid.binning
    else:
        x, y = (grid.nx - 1) / 2, (grid.ny - 1) / 2
        ra, dec = (float(v) for v in grid.to_sky(np.array(x), np.array(y)))
        crval, crpix, matrix = (ra, dec), (x + 1, y + 1), _matrix(grid, x, y, ra, dec)
    return _fitted(grid, crval, (crpix[0], crpix[1]), matrix)


def _matrix(grid: PictureGrid, x: float, y: float, ra: float, dec: float) -> np.ndarray:
    """Return the derivatives of the tangent plane (deg) by the pixels of the picture."""
    steps_x, steps_y = np.array([x + 0.5, x - 0.5, x, x]), np.array([y, y, y + 0.5, y - 0.5])
    away_ra, away_dec = grid.to_sky(steps_x, steps_y)
    xi = ((away_ra - ra + 180) % 360 - 180) * np.cos(np.radians(dec))
    eta = away_dec - dec
    return np.array([[xi[0] - xi[1], xi[2] - xi[3]], [eta[0] - eta[1], eta[2] - eta[3]]])


def _fitted(grid: PictureGrid, crval: tuple[float, float], crpix: tuple[float, float], matrix: np.ndarray) -> Place:
    """Return scales and rotation that come nearest to a matrix: AVM has no shear."""
    sign = -1.0 if np.linalg.det(matrix) < 0 else 1.0
    # sum of the turns of both axes: the one that a rotation without shear has
    rotation = np.arctan2(sign * matrix[1, 0] - matrix[0, 1], sign * matrix[0, 0] + matrix[1, 1])
    scale = (sign * float(np.hypot(*matrix[:, 0])), float(np.hypot(*matrix[:, 1])))
    place = Place(crval, crpix, scale, float(np.degrees(rotation)), 0.0)
    return Place(crval, crpix, scale, place.rotation, _error(grid, place))


def wcs_of(place: Place) -> Wcs:
    """Return the coordinate system that the tags of a place stand for."""
    turn = np.radians(place.rotation)
    (sx, sy), cos, sin = place.scale, np.cos(turn), np.sin(turn)
    cards = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "RADESYS": "ICRS",
        "CRVAL1": place.crval[0], "CRVAL2": place.crval[1], "CRPIX1": place.crpix[0], "CRPIX2": place.crpix[1],
        "CD1_1": sx * cos, "CD1_2": -sy * sin, "CD2_1": sx * sin, "CD2_2": sy * cos,
    }  # fmt: skip
    return Wcs.from_header(cards)


def _error(grid: PictureGrid, place: Place) -> float:
    x, y = (v.ravel() for v in np.meshgrid(np.linspace(0, grid.nx - 1, 3), np.linspace(0, grid.ny - 1, 3)))
    there_x, there_y = wcs_of(place).to_pixel(*grid.to_sky(x, y))
    return float(np.nanmax(np.hypot(there_x - x, there_y - y), initial=0.0))


def avm_packet(
    grid: PictureGrid, title: str, creator: str, description: str = "", bands: tuple[str, ...] = ()
) -> bytes:
    """Return the XMP packet of a picture; its bands are named with the colours they have."""
    place = place_of(grid)
    tags = [
        _tag("MetadataVersion", "1.2"),
        _tag("Spatial.CoordinateFrame", "ICRS"),
        _tag("Spatial.Equinox", "2000.0"),
        _tag("Spatial.CoordsystemProjection", "TAN"),
        _list("Spatial.ReferenceValue", place.crval),
        _list("Spatial.ReferenceDimension", (grid.nx, grid.ny)),
        _list("Spatial.ReferencePixel", place.crpix),
        _list("Spatial.Scale", place.scale),
        _tag("Spatial.Rotation", repr(place.rotation)),
        _tag("Spatial.Quality", "Full"),
        _tag("Spatial.Notes", f"largest error of this projection in the picture: {place.error:.3f} pixel"),
        f'<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{escape(title)}</rdf:li></rdf:Alt></dc:title>',
        f"<dc:creator><rdf:Seq><rdf:li>{escape(creator)}</rdf:li></rdf:Seq></dc:creator>",
        f"<xmp:CreatorTool>awe {__version__}</xmp:CreatorTool>",
    ]
    if bands:
        colours = ("Red", "Green", "Blue")
        tags += [_list("Spectral.Bandpass", bands), _list("Spectral.ColorAssignment", colours)]
    if description:
        alternative = f'<rdf:Alt><rdf:li xml:lang="x-default">{escape(description)}</rdf:li></rdf:Alt>'
        tags.append(f"<dc:description>{alternative}</dc:description>")
    return _PACKET.format(version=__version__, tags="\n".join(tags)).encode()


def _tag(name: str, value: str) -> str:
    return f"<avm:{name}>{escape(value)}</avm:{name}>"


def _list(name: str, values: tuple[object, ...]) -> str:
    members = "".join(f"<rdf:li>{escape(repr(v) if isinstance(v, float) else str(v))}</rdf:li>" for v in values)
    return f"<avm:{name}><rdf:Seq>{members}</rdf:Seq></avm:{name}>"
