"""Programs of the worker that commands of the client start."""
