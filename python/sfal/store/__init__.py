"""Where everything lies on disk: names, atomic writes, manifests, readers and writers."""
