"""Rewrites of TVB's functions and checks of the graph; the bits stay the same."""
