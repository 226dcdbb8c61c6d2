"""Run folders shown in a browser of this machine while they grow."""
