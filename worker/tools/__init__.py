"""What a command of the client asks a worker's code to do."""
