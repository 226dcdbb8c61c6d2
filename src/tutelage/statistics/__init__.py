"""Statistics of honest comparison: numbers in, numbers out."""
