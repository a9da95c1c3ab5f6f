"""A loaded language model and SAEs: what counts one buffer of documents."""
