"""Import TVB once for a process, without its own logging. Called by workers before they fork, and by programs."""

import logging


def import_tvb() -> None:
    """Import TVB: 6 s and 240 MB, which processes that are forked later share."""
    import tvb.simulator.lab  # noqa: F401

    # TVB brings a logging configuration of its own, which tells every step of every `configure`.
    for name in ("tvb", "tvb.simulator", "tvb.basic", "tvb.datatypes", "tvb.core"):
        logging.getLogger(name).setLevel(logging.ERROR)
