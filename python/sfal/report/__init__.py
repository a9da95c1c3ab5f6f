"""Everything that draws: the summary in words, the plots."""
