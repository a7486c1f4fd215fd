"""TVB objects of every class that this program writes, the same in each process: `OBJECTS[name]()`."""

import warnings
from functools import cache
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import scipy.sparse
from tvb.datatypes import equations
from tvb.datatypes.connectivity import Connectivity
from tvb.datatypes.local_connectivity import LocalConnectivity
from tvb.datatypes.patterns import StimuliRegion, StimuliSurface
from tvb.datatypes.projections import ProjectionSurfaceEEG, ProjectionSurfaceMEG, ProjectionSurfaceSEEG
from tvb.datatypes.region_mapping import RegionMapping
from tvb.datatypes.sensors import SensorsEEG, SensorsInternal, SensorsMEG
from tvb.datatypes.surfaces import (
    BrainSkull,
    CorticalSurface,
    EEGCap,
    FaceSurface,
    SkinAir,
    SkullSkin,
    WhiteMatterSurface,
)  # fmt: skip

OBJECTS = {}


def known(make):
    """Register the object that a function makes, under its name and with a gid from that name."""

    @cache
    def made():
        instance = make()
        instance.gid = uuid5(NAMESPACE_URL, make.__name__)
        instance.configure()
        return instance

    OBJECTS[make.__name__] = made
    return made


@known
def connectivity():
    return Connectivity.from_file("connectivity_76.zip")


@known
def other_connectivity():
    return Connectivity.from_file("connectivity_66.zip")


@known
def small_connectivity():
    return Connectivity(
        weights=np.array([[0.0, 1, 2], [1, 0, 0], [2, 0, 0]]), tract_lengths=np.full((3, 3), 10.0),
        region_labels=np.array(["a", "b", "c"]), centres=np.arange(9.0).reshape(3, 3), saved_selection=[0, 2],
    )  # fmt: skip


def from_file(cls):
    with warnings.catch_warnings():
        # Not every surface of tvb-data comes with normals.
        warnings.simplefilter("ignore")
        surface = cls.from_file()
    surface.zero_based_triangles = True
    return surface


@known
def cortex():
    return from_file(CorticalSurface)


@known
def eeg_cap():
    return from_file(EEGCap)


@known
def face():
    return from_file(FaceSurface)


@known
def brain_skull():
    return from_file(BrainSkull)


@known
def skull_skin():
    return from_file(SkullSkin)


@known
def skin_air():
    return from_file(SkinAir)


def sheet(rows: int, columns: int, first: int = 0):
    """Return vertices and triangles of a wavy grid."""
    y, x = np.mgrid[:rows, :columns].astype(float)
    vertices = np.stack([x.ravel(), y.ravel(), np.sin(x + y).ravel()], axis=1)
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel() + first
    return vertices, np.concatenate(
        [np.stack([corner, corner + 1, corner + columns], 1),
         np.stack([corner + 1, corner + columns, corner + columns + 1], 1)]
    )  # fmt: skip


def surface(cls, vertices, triangles, **values):
    normals = np.tile([0.0, 0.0, 1.0], (len(vertices), 1))
    return cls(vertices=vertices, triangles=triangles, vertex_normals=normals, zero_based_triangles=True, **values)


def halves(left, right, *, bridges: int = 0):
    """Return two sheets, the left one's vertices first; some triangles lie in both."""
    first, of_first = sheet(*left)
    second, of_second = sheet(*right, first=len(first))
    both = np.stack([np.arange(bridges), np.arange(bridges) + 1, np.arange(bridges) + len(first)], 1).reshape(-1, 3)
    mask = np.repeat([False, True], [len(first), len(second)])
    triangles = np.concatenate([of_first, both, of_second]).astype(int)
    return surface(CorticalSurface, np.concatenate([first, second + 100.0]), triangles, hemisphere_mask=mask)


@known
def white_matter():
    return surface(WhiteMatterSurface, *sheet(3, 4), valid_for_simulations=False)


@known
def two_halves():
    return halves((3, 4), (4, 5), bridges=3)


@known
def large_surface():
    return surface(CorticalSurface, *sheet(101, 1000))


@known
def barely_large_surface():
    return surface(CorticalSurface, *sheet(2, 27501))


@known
def large_halves():
    return halves((400, 150), (250, 180), bridges=5)


@known
def shuffled_surface():
    vertices, triangles = sheet(240, 250)
    order = np.random.default_rng(1).permutation(len(vertices))
    return surface(CorticalSurface, vertices[order], np.argsort(order)[triangles])


@known
def region_mapping():
    mapping = RegionMapping.from_file("regionMapping_16k_76.txt")
    mapping.connectivity, mapping.surface = connectivity(), cortex()
    return mapping


@known
def local_connectivity():
    local = LocalConnectivity.from_file()
    local.surface = cortex()
    return local


@known
def other_local_connectivity():
    return LocalConnectivity(
        surface=white_matter_cortex(), matrix=scipy.sparse.csc_matrix(np.eye(12) * 0.5 - 0.125), cutoff=12.5,
        equation=equations.Sigmoid(parameters={"amp": 1.0, "radius": 5.0, "sigma": 1.5, "offset": 0.0}),
    )  # fmt: skip


@known
def white_matter_cortex():
    return surface(CorticalSurface, *sheet(3, 4))


@known
def eeg_sensors():
    return SensorsEEG.from_file("eeg_brainstorm_65.txt")


@known
def usable_sensors():
    return SensorsEEG(labels=np.array(["a", "ECG"]), locations=np.eye(3)[:2], usable=np.array([True, False]))


@known
def meg_sensors():
    return SensorsMEG.from_file("meg_151.txt.bz2")


@known
def meg_sensors_276():
    return SensorsMEG.from_file("meg_brainstorm_276.txt")


@known
def seeg_sensors():
    return SensorsInternal.from_file("seeg_588.txt")


@known
def eeg_projection():
    projection = ProjectionSurfaceEEG.from_file("projection_eeg_65_surface_16k.npy")
    projection.sources, projection.sensors = cortex(), eeg_sensors()
    return projection


@known
def meg_projection():
    projection = ProjectionSurfaceMEG.from_file("projection_meg_276_surface_16k.npy")
    projection.sources, projection.sensors = cortex(), meg_sensors_276()
    return projection


@known
def seeg_projection():
    gain = np.random.default_rng(2).normal(size=(588, 12))
    return ProjectionSurfaceSEEG(sources=white_matter_cortex(), sensors=seeg_sensors(), projection_data=gain)


@known
def layered_projection():
    return ProjectionSurfaceEEG(
        sources=white_matter_cortex(), sensors=usable_sensors(), projection_data=np.ones((2, 12)), brain_skull=brain_skull(),
        skull_skin=skull_skin(), skin_air=skin_air(), conductances={"air": 0.0, "skin": 0.5, "skull": 0.1, "brain": 1.0},
    )  # fmt: skip


@known
def region_stimulus():
    weight = np.zeros(76)
    weight[[3, 5]] = 0.5
    return StimuliRegion(connectivity=connectivity(), weight=weight, temporal=equations.PulseTrain())


@known
def surface_stimulus():
    return StimuliSurface(
        surface=cortex(), focal_points_triangles=np.array([10, 4000]), temporal=equations.Cosine(),
        spatial=equations.Gaussian(parameters={"amp": 1.0, "sigma": 3.0, "midpoint": 0.0, "offset": 0.0}),
    )  # fmt: skip


ONE_OF_EACH = {
    "Connectivity": "connectivity", "Surface": "white_matter", "RegionMapping": "region_mapping",
    "LocalConnectivity": "other_local_connectivity", "Sensors": "eeg_sensors", "ProjectionMatrix": "layered_projection",
    "StimuliRegion": "region_stimulus", "StimuliSurface": "surface_stimulus",
}  # fmt: skip
