"""Output for users: lists, details, plots, live views."""
