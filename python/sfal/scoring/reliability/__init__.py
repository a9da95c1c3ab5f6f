"""How reliable the scores of features are, from replicates on parts of the text."""
