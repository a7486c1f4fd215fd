"""TVB's step, coupling and noise as traced equations."""
