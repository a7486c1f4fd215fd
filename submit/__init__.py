"""The client: Python API, command line and web pages. `tvb_batch` exports its public part."""
