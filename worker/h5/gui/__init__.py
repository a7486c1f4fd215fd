"""ZIPs for TVB's web GUI: time series, simulations, explorations and projects, as the GUI exports them itself."""
