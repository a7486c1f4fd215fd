"""What a job is: its spec, its row and its message. Imported by the client and the workers; never imports TVB."""
