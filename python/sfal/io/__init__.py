"""Files, locks, downloads and the hub, without knowledge of features or windows."""
