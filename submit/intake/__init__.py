"""From a spec and its files to rows and messages."""
