"""Progress bars and units for the terminal."""
