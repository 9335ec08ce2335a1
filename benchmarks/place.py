"""What is measured on: a scene of pixels, processed nights, a large image; each made when it is first asked for."""

import json
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.measuring import Case, Measured, measure


@dataclass
class Place:
    """A folder to work in, and how much is to be measured."""

    folder: Path
    quick: bool = False
    """Smaller frames, fewer repeats."""
    raw: Path | None = None
    """Folder of raw frames that are processed instead of simulated nights."""
    catalogue: str = ""
    """Reference catalogue for them, as FILE:FORM."""
    rounds: int = field(init=False)
    """How often the programs take turns."""

    def __post_init__(self) -> None:
        self.rounds = 1 if self.quick else 2

    def size(self, whole: Any, quick: Any) -> Any:
        """Return the one or the other size of something."""
        return quick if self.quick else whole

    @cached_property
    def scene(self) -> Path:
        """Return the folder of a chip's frames."""
        side = self.size(2048, 1024)
        say(f"simulating and processing a chip of {side} x {side} pixels")
        folder = self._new("scene")
        self.do(Case("process", "awe", "scene:process", {"size": str(side)}), folder)
        self.do(Case("export", "awe", "scene:export"), folder)
        return folder

    @cached_property
    def fresh(self) -> Path:
        """Return an empty folder."""
        return self._new("fresh")

    @cached_property
    def described(self) -> dict[str, Any]:
        """Return what the scene is."""
        found: dict[str, Any] = json.loads((self.scene / "scene/scene.json").read_text())
        return found

    @cached_property
    def compiled(self) -> bool:
        """Process a night that is not counted, so that all kernels are compiled."""
        say("a night that is not counted, so that all kernels are compiled")
        self.do(Case("night", "awe", "scene:process", {"size": "tiny"}), self._new("first"))
        return True

    def night(self, size: str) -> tuple[Path, Measured]:
        """Return the folder of a night of some size, and what was found when it was processed."""
        assert self.compiled
        folder = self.folder / size
        if folder.is_dir():
            return folder, self._nights[size]
        folder.mkdir()
        say(f"{'' if self.raw else 'simulating and '}processing the night {size}")
        options = {"size": size}
        if self.raw is not None:
            options = {"raw": str(self.raw.absolute()), "catalogue": self.catalogue}
        self._nights[size] = self.do(Case("night", "awe", "scene:process", options), folder)
        return folder, self._nights[size]

    @cached_property
    def _nights(self) -> dict[str, Measured]:
        return {}

    @cached_property
    def nights(self) -> tuple[str, ...]:
        """Return the sizes of nights, in growing order."""
        if self.raw is not None:
            return (self.raw.absolute().name,)
        return ("tiny", "small") if self.quick else ("tiny", "small", "demo")

    @cached_property
    def survey(self) -> dict[str, Any]:
        """Return how large the night of a mosaic camera is."""
        return {"chip": self.size((4612, 2048), (1024, 1024)), "exposures": 4}

    @cached_property
    def observed(self) -> tuple[Path, Measured]:
        """Return the folder of a night (a mosaic camera's) with its calibrations, and what these took."""
        assert self.compiled
        folder = self._new("survey")
        options = self.survey
        if self.raw is not None:
            options = {"raw": str(self.raw.absolute()), "catalogue": self.catalogue}
        say(f"{'taking in' if self.raw else 'simulating'} a night, and making its calibrations")
        return folder, self.do(Case("observe", "awe", "survey:observe", options), folder)

    @cached_property
    def chip(self) -> Path:
        """Return the folder of a night with one exposure of one chip and many biases."""
        folder = self._new("chip")
        say("simulating an exposure of one chip with many biases, and making all up to its weight")
        more = {"chip": self.size((4612, 2048), (1024, 1024)), "biases": self.biases[-1]}
        self.do(Case("prepare", "awe", "calibrations:prepare", more), folder)
        return folder

    @cached_property
    def biases(self) -> tuple[int, ...]:
        """Return how many biases are combined, in growing order."""
        return self.size((25, 100), (5, 15))

    @cached_property
    def sources(self) -> Path:
        """Return the folder with lists of the sources of a mosaic camera's exposures."""
        folder = self._new("sources")
        say("simulating exposures of a mosaic camera, and finding their sources")
        self.do(Case("prepare", "awe", "astrometry:prepare", self.survey), folder)
        return folder

    @cached_property
    def drawn(self) -> Path:
        """Return the folder with lists of sources, drawn without images, of more and more exposures."""
        folder = self._new("drawn")
        for exposures in self.exposures:
            say(f"drawing the sources of {exposures} exposures of a mosaic camera")
            (folder / f"{exposures}").mkdir()
            options = {"chip": self.survey["chip"], "exposures": exposures}
            self.do(Case("draw", "awe", "astrometry:draw", options), folder / f"{exposures}")
        return folder

    @cached_property
    def exposures(self) -> tuple[int, ...]:
        """Return how many exposures are solved together, in growing order."""
        return self.size((4, 16, 64), (4, 16))

    @cached_property
    def mosaic(self) -> Path:
        """Return the folder of the chips of a mosaic camera."""
        chip = self.size((4612, 2048), (1024, 768))
        say(f"simulating four exposures of four chips of {chip[1]} x {chip[0]} pixels")
        folder = self._new("mosaic")
        self.do(Case("simulate", "awe", "mosaic:simulate", {"chip": chip}), folder)
        return folder

    @cached_property
    def large(self) -> Path:
        """Return the folder of a large image."""
        say("writing a large image")
        self.do(Case("prepare", "awe", "pictures:prepare", {"side": self.size(16_000, 4000)}), self.folder)
        return self.folder

    def _new(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder

    def do(self, case: Case, folder: Path) -> Measured:
        """Do something once, without which nothing goes on."""
        (done,) = measure([case], folder, 1, 1)
        if done.failure:
            sys.exit(f"{case.function} of {folder.name} failed: {done.failure}")
        return done


def say(text: str) -> None:
    """Tell whoever waits what is being done."""
    print(text, file=sys.stderr, flush=True)
