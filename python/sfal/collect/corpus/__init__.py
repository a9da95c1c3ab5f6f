"""Where the text comes from: data sets of the hub, and local files."""
