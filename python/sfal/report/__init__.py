"""Results for people: summaries, features and evidence as text, and plots."""
