"""ZIP files for the TVB GUI, as the client asks for them."""
