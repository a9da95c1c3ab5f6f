"""Studies of what scores can and cannot tell, run by hand."""
