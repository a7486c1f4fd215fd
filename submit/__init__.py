"""The client: everything the person at a terminal or in a notebook does."""
