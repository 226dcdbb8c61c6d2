"""Recipes: the file, the objects it describes, and what one run of it is."""
