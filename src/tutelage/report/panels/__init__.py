"""Every section of the page, one folder each."""
