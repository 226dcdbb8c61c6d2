"""One run: put together, tried, trained, evaluated."""
