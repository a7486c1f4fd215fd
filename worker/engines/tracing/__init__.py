"""Stand-ins for arrays that record what TVB's own code does with them."""
