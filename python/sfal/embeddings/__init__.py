"""Stage 2, second half: embed the chosen explanations."""
