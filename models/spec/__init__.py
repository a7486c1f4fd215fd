"""Simulations and sweeps as plain data, checked without TVB."""
