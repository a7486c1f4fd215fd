"""The graph of equations, and what is rewritten in it."""
