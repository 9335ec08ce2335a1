"""The persistent classes, defined in processing order: the imports below read as the data flow."""

from sqlalchemy.orm import configure_mappers

from awe.model.persistent import Base, Job, Persistent, Process, QualityFlag, concrete_classes, persistent_class
from awe.model.instrument import Chip, Filter, Instrument, Telescope
from awe.model.observation import GridTarget, Observation, ObservingBlock
from awe.model.frame import Frame
from awe.model.reference import ReferenceCatalogue
from awe.model.raw import (
    RawBiasFrame,
    RawDarkFrame,
    RawDomeFlatFrame,
    RawFrame,
    RawScienceFrame,
    RawStandardFrame,
    RawTwilightFlatFrame,
)
from awe.model.detector import BiasFrame, DarkFrame, HotPixelMap, ReadNoise
from awe.model.electronics import Crosstalk, GainLinearity
from awe.model.flatfield import ColdPixelMap, DomeFlatFrame, MasterFlatFrame, TwilightFlatFrame
from awe.model.fringes import FringeFrame
from awe.model.science import BackgroundFrame, CosmicMap, ReducedFrame, SatelliteMap, SaturatedPixelMap, WeightFrame
from awe.model.field_solution import GlobalAstrometry
from awe.model.astrometric import AstrometricParameters
from awe.model.photometric_solution import PhotometricSolution
from awe.model.photometric import PhotometricParameters
from awe.model.illumination import IlluminationCorrection
from awe.model.coadd import Coadd, RegriddedFrame
from awe.model.psf import PsfModel
from awe.model.catalogue import AssociateList, SourceList
from awe.model.ingested import Ingested
from awe.model.rendering import PositionList, Rendering
from awe.model.access import AccessToken, SignedIn
from awe.model.judgement import Judgement

configure_mappers()  # from here on, comparing an attribute gives a query

__all__ = [
    "AccessToken",
    "AssociateList",
    "AstrometricParameters",
    "BackgroundFrame",
    "Base",
    "BiasFrame",
    "Chip",
    "Coadd",
    "ColdPixelMap",
    "CosmicMap",
    "Crosstalk",
    "DarkFrame",
    "DomeFlatFrame",
    "Filter",
    "Frame",
    "FringeFrame",
    "GainLinearity",
    "GlobalAstrometry",
    "GridTarget",
    "HotPixelMap",
    "IlluminationCorrection",
    "Ingested",
    "Instrument",
    "Job",
    "Judgement",
    "MasterFlatFrame",
    "Observation",
    "ObservingBlock",
    "Persistent",
    "PhotometricParameters",
    "PhotometricSolution",
    "PositionList",
    "Process",
    "PsfModel",
    "QualityFlag",
    "RawBiasFrame",
    "RawDarkFrame",
    "RawDomeFlatFrame",
    "RawFrame",
    "RawScienceFrame",
    "RawStandardFrame",
    "RawTwilightFlatFrame",
    "ReadNoise",
    "ReducedFrame",
    "ReferenceCatalogue",
    "RegriddedFrame",
    "Rendering",
    "SatelliteMap",
    "SaturatedPixelMap",
    "SignedIn",
    "SourceList",
    "Telescope",
    "TwilightFlatFrame",
    "WeightFrame",
    "concrete_classes",
    "persistent_class",
]
