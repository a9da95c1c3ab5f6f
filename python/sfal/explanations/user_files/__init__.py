"""Labels in files that users bring, in the shapes in which people keep them."""
