"""The folder of a run: written by training, read back by everything else."""
