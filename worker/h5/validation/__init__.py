"""Finds every fault of files and ZIPs before they are imported into the GUI."""
