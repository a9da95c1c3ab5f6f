"""All stages, one after the other, for some sources."""
