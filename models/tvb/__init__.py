"""TVB's classes and files as data: what is declared, what a file holds, and how a section becomes an object."""
