"""Functions of a population.  One file per kind of function; a new file is found as soon as it exists."""
