"""Figures as inline SVG, each with its data."""
