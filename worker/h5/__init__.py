"""H5 files for TVB's web GUI, written with h5py and NumPy only."""
