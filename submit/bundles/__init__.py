"""ZIP files for the TVB GUI, on the side of the client."""
