"""What the GUI needs in the file of each datatype: names of attributes, datasets and references. Data only.

Measured by importing files that each lack one thing into tvb-framework 2.10.
"""

from dataclasses import dataclass

#: Attributes without which the GUI refuses a file.
REQUIRED = (
    "Data_version", "written_by", "gid", "create_date", "invalid", "is_nan", "visible", "subject", "state",
    "user_tag_1", "user_tag_2", "user_tag_3", "user_tag_4", "user_tag_5",
)  # fmt: skip
REQUIRED_TIME_SERIES = (
    "title", "start_time", "sample_period", "sample_period_unit", "nr_dimensions", "labels_ordering",
    "labels_dimensions",
)  # fmt: skip


@dataclass(frozen=True)
class Format:
    """What the GUI needs in a datatype's file besides `REQUIRED`."""

    #: The class of tvb-framework that reads the file.
    written_by: str
    attributes: tuple[str, ...]
    datasets: tuple[str, ...]
    #: Attributes that hold the gid of another datatype, which is imported first.
    references: tuple[str, ...] = ()
    #: Optional attributes that hold the gid of another datatype.
    optional_references: tuple[str, ...] = ()


def _series(name: str, *references: str, optional: tuple[str, ...] = ()) -> Format:
    written_by = f"tvb.adapters.datatypes.h5.time_series_h5.{name}H5"
    return Format(written_by, REQUIRED_TIME_SERIES, ("data", "time"), references, optional)


#: By the name of the datatype, with which the GUI's file names start.
FORMATS = {
    "Connectivity": Format(
        "tvb.adapters.datatypes.h5.connectivity_h5.ConnectivityH5",
        ("number_of_regions", "number_of_connections", "saved_selection"),
        ("weights", "tract_lengths", "centres", "region_labels"),
    ),
    "Surface": Format(
        "tvb.adapters.datatypes.h5.surface_h5.SurfaceH5",
        (
            "number_of_vertices", "number_of_triangles", "number_of_split_slices", "split_slices", "edge_mean_length",
            "edge_min_length", "edge_max_length", "zero_based_triangles", "bi_hemispheric", "surface_type",
            "valid_for_simulations",
        ),
        ("vertices", "triangles", "split_triangles"),
    ),
    "RegionMapping": Format(
        "tvb.adapters.datatypes.h5.region_mapping_h5.RegionMappingH5",
        (),
        ("array_data",),
        ("connectivity", "surface"),
    ),
    "LocalConnectivity": Format(
        "tvb.adapters.datatypes.h5.local_connectivity_h5.LocalConnectivityH5",
        ("equation", "cutoff"),
        ("matrix", "matrixdata", "matrixindices", "matrixindptr"),
        ("surface",),
    ),
    "Sensors": Format(
        "tvb.adapters.datatypes.h5.sensors_h5.SensorsH5",
        ("sensors_type", "number_of_sensors", "has_orientation"),
        ("labels", "locations"),
    ),
    "ProjectionMatrix": Format(
        "tvb.adapters.datatypes.h5.projections_h5.ProjectionMatrixH5",
        ("projection_type", "conductances"),
        ("projection_data",),
        ("sources", "sensors"),
        ("brain_skull", "skull_skin", "skin_air"),
    ),
    "StimuliRegion": Format(
        "tvb.adapters.datatypes.h5.patterns_h5.StimuliRegionH5",
        ("spatial", "temporal"),
        ("weight",),
        ("connectivity",),
    ),
    "StimuliSurface": Format(
        "tvb.adapters.datatypes.h5.patterns_h5.StimuliSurfaceH5",
        ("spatial", "temporal"),
        ("focal_points_surface", "focal_points_triangles"),
        ("surface",),
    ),
    "DatatypeMeasure": Format(
        "tvb.core.entities.file.simulator.datatype_measure_h5.DatatypeMeasureH5",
        ("metrics",),
        (),
        ("analyzed_datatype",),
    ),
    "TimeSeries": _series("TimeSeries"),
    "TimeSeriesRegion": _series("TimeSeriesRegion", "connectivity", optional=("region_mapping",)),
    "TimeSeriesSurface": _series("TimeSeriesSurface", "surface"),
    "TimeSeriesEEG": _series("TimeSeriesEEG", "sensors"),
    "TimeSeriesMEG": _series("TimeSeriesMEG", "sensors"),
    "TimeSeriesSEEG": _series("TimeSeriesSEEG", "sensors"),
}  # fmt: skip

#: Names of the four dimensions of each time series' data; `labels_dimensions` is keyed by the second.
LABELS_ORDERING = {
    "TimeSeries": ("Time", "State Variable", "Space", "Mode"),
    "TimeSeriesRegion": ("Time", "State Variable", "Region", "Mode"),
    "TimeSeriesSurface": ("Time", "State Variable", "Vertex", "Mode"),
    "TimeSeriesEEG": ("Time", "SV", "EEG Sensor", "Mode"),
    "TimeSeriesMEG": ("Time", "SV", "MEG Sensor", "Mode"),
    "TimeSeriesSEEG": ("Time", "SV", "sEEG Sensor", "Mode"),
}
