"""What a simulation is and what a sweep of it is: plain data, checked without TVB."""
