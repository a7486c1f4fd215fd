"""The user's own modules: their source files and their import."""
