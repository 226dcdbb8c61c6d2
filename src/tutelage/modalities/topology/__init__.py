"""Kernels of the representations: pairs of birth and death, and the images that are drawn of them."""
