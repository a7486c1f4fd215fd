"""The worker: from a job's gid to verified files."""

import os

# One process runs one simulation. Thread pools of the numeric libraries would only fight over the cores, and they read
# these names once, when they are loaded: so before NumPy is.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
