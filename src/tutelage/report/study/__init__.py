"""Tables, comparisons and searches of a study, as files and pages."""
