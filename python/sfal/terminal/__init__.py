"""What the terminal shows: progress bars, units."""
