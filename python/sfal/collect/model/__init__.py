"""The language model: loading, hook points, tokenizer."""
