"""Tracers in place of arrays, which record what TVB's own code does with them."""
