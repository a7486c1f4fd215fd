"""One job, from its claim to its files."""
