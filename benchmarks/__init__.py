"""Benchmarks, each compared with a baseline of the same run: see docs/benchmarks.md."""

import tvb_batch.worker  # noqa: F401 - pins the threads of the numeric libraries before one of them is loaded
