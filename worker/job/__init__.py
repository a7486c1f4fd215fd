"""One job, from its claim to its finished files."""
