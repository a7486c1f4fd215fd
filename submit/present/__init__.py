"""What a person sees: lists, details, plots, live views."""
