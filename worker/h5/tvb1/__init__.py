"""Format tvb1, for TVB 1.4 to 1.5.x."""
