"""A compiled simulation as it runs: delay buffer, summation, monitors, random numbers."""
