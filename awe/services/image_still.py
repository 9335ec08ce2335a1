"""The viewer where scripts do not run: a picture of what is in view, and the addresses that move it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from awe.services.image_request import LARGEST_SECTION
from awe.services.stored_frames import StoredFrame

WIDTH, HEIGHT = 960, 640
"""Size of the picture on the screen."""
LARGEST_ZOOM = 64.0


@dataclass(frozen=True)
class Still:
    """A part of an image that fills a picture of WIDTH x HEIGHT."""

    image: StoredFrame
    x: float
    """Middle of what is shown; the first pixel is 1."""
    y: float
    zoom: float
    """Pixels of the screen for each of the image."""

    @classmethod
    def of(cls, image: StoredFrame, x: float | None, y: float | None, zoom: float | None) -> "Still":
        """Return what a position and a zoom show; by default the whole image."""
        whole = _whole(image)
        wanted = min(max(zoom or whole, whole / 2), LARGEST_ZOOM)
        return cls(image, _held(x, image.nx), _held(y, image.ny), wanted)

    def clicked(self, right: int, down: int) -> tuple[float, float]:
        """Return the position of the image under a point of the picture, counted from its top left corner."""
        x = self.x + (right + 0.5 - WIDTH / 2) / self.zoom
        y = self.y - (down + 0.5 - HEIGHT / 2) / self.zoom
        return round(_held(x, self.image.nx), 2), round(_held(y, self.image.ny), 2)

    @property
    def section(self) -> dict[str, Any]:
        """The parameters of its picture that say what part is shown, and how large."""
        width, height = (max(1, min(round(side / self.zoom), LARGEST_SECTION)) for side in (WIDTH, HEIGHT))
        return {"x": self.x, "y": self.y, "width": width, "height": height, "fit": WIDTH}

    @property
    def moves(self) -> Mapping[str, dict[str, float | None]]:
        """What leads on from here: name, and the parameters of the viewer that change."""
        across, up = WIDTH / self.zoom / 2, HEIGHT / self.zoom / 2

        def there(x: float, y: float, factor: float = 1.0) -> dict[str, float | None]:
            place = Still.of(self.image, x, y, self.zoom * factor)
            return {"x": round(place.x, 2), "y": round(place.y, 2), "zoom": float(f"{place.zoom:.4g}")}

        return {
            "left": there(self.x - across, self.y),
            "right": there(self.x + across, self.y),
            "up": there(self.x, self.y + up),
            "down": there(self.x, self.y - up),
            "resize 2x": there(self.x, self.y, 2.0),
            "resize 0.5x": there(self.x, self.y, 0.5),
            "1:1": there(self.x, self.y, 1 / self.zoom),
            "whole": {"x": None, "y": None, "zoom": None},
        }


def _whole(image: StoredFrame) -> float:
    return min(WIDTH / image.nx, HEIGHT / image.ny, LARGEST_ZOOM)


def _held(v: float | None, size: int) -> float:
    """Return a position on an axis of the image: its middle if there is none, its edge if it lies beyond."""
    return (size + 1) / 2 if v is None else min(max(v, 1.0), float(size))
