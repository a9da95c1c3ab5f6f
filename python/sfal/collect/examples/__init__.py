"""Max-activating examples of each feature, in documents of their own."""
