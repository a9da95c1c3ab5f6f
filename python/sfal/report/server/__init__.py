"""The page served from a data folder: no limit of size, lists whole, scores as they are now."""
