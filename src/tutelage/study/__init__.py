"""Studies: one recipe laid out over axes, planned, run, watched, compared and tuned."""
