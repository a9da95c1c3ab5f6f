"""Judgements of explanations by people or models, read from the formats that they come in."""
