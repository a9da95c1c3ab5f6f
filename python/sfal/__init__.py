"""SFAL: semantic-functional alignment scores for sparse autoencoder features."""
