"""A time series as an xarray DataArray with named axes, times and nodes, read slice by slice. Imports xarray."""

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing


class _OnDisk(BackendArray):  # type: ignore[misc]
    """A dataset of an open H5 file, read when xarray needs it."""

    def __init__(self, data: Any) -> None:
        self._data, self.shape, self.dtype = data, data.shape, data.dtype

    def __getitem__(self, key: Any) -> Any:
        support = indexing.IndexingSupport.OUTER_1VECTOR
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._data.__getitem__)


def as_data_array(data: Any, time: NDArray[Any], attributes: Mapping[str, Any], regions: Sequence[str]) -> xr.DataArray:
    """Return a DataArray (time, state_variable, node, mode) with times in ms and labels.

    Parameters
    ----------
    data : the open dataset; it stays open for as long as the array is used
    regions : names of the nodes; empty if they have none
    """
    coordinates: dict[str, Any] = {"time": ("time", time, {"units": "ms"})}
    variables = attributes.get("labels_dimensions", {}).get("State Variable", [])
    for dimension, axis, names in (("state_variable", 1, variables), ("node", 2, regions)):
        if len(names) == data.shape[axis]:
            coordinates[dimension] = list(names)
    lazy = indexing.LazilyIndexedArray(_OnDisk(data))
    variable = xr.Variable(("time", "state_variable", "node", "mode"), lazy)
    return xr.DataArray(variable, coordinates, name=str(attributes.get("title", "")))
