"""Gives EEG, MEG and iEEG monitors without a projection the one that TVB computes, as the GUI needs one."""

from typing import Any

from tvb_batch.models.errors import SpecError


def add_projections(simulator: Any) -> None:
    """Set the projection of each monitor that has none to TVB's analytic gain.

    TVB computes the gain of (sensors, vertices) or, in a region simulation, of (sensors, cortical regions), and then
    treats it as it treats a given projection. A simulation with the projection has the same series.

    Parameters
    ----------
    simulator : a configured TVB Simulator

    Raises
    ------
    SpecError
        There is no surface, which the file of a projection must name.
    """
    cortex, connectivity = simulator.surface, simulator.connectivity
    for index, monitor in enumerate(simulator.monitors):
        if "projection" not in type(monitor).declarative_attrs or getattr(monitor, "projection", None) is not None:
            continue
        if cortex is None:
            surface, cortical = monitor.region_mapping.surface, connectivity.cortical
            sources = connectivity.centres[cortical], connectivity.orientations[cortical]
        else:
            surface, sources = cortex.surface, (cortex.vertices, cortex.vertex_normals)
        if surface is None:
            raise SpecError(
                f"monitors[{index}].region_mapping.surface",
                "not set",
                "a surface, which the GUI needs for the projection of the monitor",
                "bundle the job as data (--as data): its series are imported without a record of the simulation",
            )
        projection = type(monitor).projection.field_type
        monitor.projection = projection(
            sources=surface, sensors=monitor.sensors, projection_data=monitor.analytic(*sources)
        )
