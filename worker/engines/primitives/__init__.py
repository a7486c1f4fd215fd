"""Numba pieces that every kernel is made of; none knows a model.

The files of this directory are copied to the kernel cache and imported from there, beside the kernels that
`worker.engines.codegen.kernel_source` writes, so that what Numba makes of them is kept with them. Nothing imports them
from here.
"""
