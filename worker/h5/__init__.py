"""H5 files that TVB's web GUI reads, written with h5py and NumPy alone."""
