"""Stage 2: fetch the explanations of features, choose one a feature, embed them."""
