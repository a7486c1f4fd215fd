"""Ways to step a configured TVB Simulator through time; all yield the same chunks."""
