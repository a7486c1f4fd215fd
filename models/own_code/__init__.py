"""The operator's own modules: their source files, and their import."""
