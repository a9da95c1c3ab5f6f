"""Max-activating examples of each feature, from documents that are not counted."""
