"""From a graph of equations to compiled machine code."""
