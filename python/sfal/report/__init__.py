"""Everything that draws: the summary as text, and plots."""
