"""Gids of datatypes, derived from their content: all jobs with equal connectivities refer to one datatype."""

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any
from uuid import UUID, uuid5

import numpy as np

from tvb_batch.models.tvb.components import Attribute, find_component
from tvb_batch.models.tvb.introspect import role_of

CONTENT_NAMESPACE = UUID("6ba2c4a4-8f2a-5f6e-9f61-6d0a5d3c7a11")

#: Not content: a cache of distances, and the speed, which belongs to the simulation.
_NOT_CONTENT = frozenset({"geodesic_distance_matrix", "speed"})


def content_gid(instance: Any) -> UUID:
    """Return a gid that depends only on the content, not on the file it came from.

    Parameters
    ----------
    instance : a configured TVB datatype; the datatypes it refers to already have their gids
    """
    cls: Any = type(instance)
    digest = hashlib.sha256(cls.__name__.encode())
    for name, attribute in _attributes(cls).items():
        value = getattr(instance, name, None)
        if value is None or name in _NOT_CONTENT:
            continue
        digest.update(f"\0{name}\0".encode())
        if attribute.type == "array":
            _add_array(digest, np.asarray(value))
        elif attribute.type == "sparse":
            for part in (value.data, value.indices, value.indptr):
                _add_array(digest, part)
        elif attribute.type == "component" and attribute.role != "equation":
            digest.update(value.gid.bytes)
        elif attribute.type == "component":
            digest.update(f"{type(value).__name__} {value.equation} {sorted(value.parameters.items())}".encode())
        else:
            digest.update(repr(value).encode())
    return uuid5(CONTENT_NAMESPACE, digest.hexdigest())


@cache
def _attributes(cls: type) -> Mapping[str, Attribute]:
    role = role_of(cls)
    assert role is not None, "only datatypes of TVB are written"
    return find_component(role, cls.__name__, role).attributes


def _add_array(digest: Any, array: Any) -> None:
    array = np.ascontiguousarray(array)
    digest.update(f"{array.shape} {array.dtype.kind}".encode())
    digest.update("\0".join(array.ravel().tolist()).encode() if array.dtype.kind in "US" else array)
