"""ZIPs for the TVB web GUI: time series, simulations, explorations and projects, as it writes them itself."""
