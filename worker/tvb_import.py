"""Imports TVB once for a process, without TVB's own logging. Workers call it before they fork."""

import logging


def import_tvb() -> None:
    """Import TVB (6 s, 240 MB); processes that are forked later share the memory."""
    import tvb.simulator.lab  # noqa: F401

    # TVB's own logging configuration would log every step of each `configure`.
    for name in ("tvb", "tvb.simulator", "tvb.basic", "tvb.datatypes", "tvb.core"):
        logging.getLogger(name).setLevel(logging.ERROR)
