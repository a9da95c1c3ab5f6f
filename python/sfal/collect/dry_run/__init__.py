"""What a run would download, compute and store."""
