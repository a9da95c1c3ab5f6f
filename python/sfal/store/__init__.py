"""Our data tree on disk: its layout, manifests, parts, readers and writers."""
