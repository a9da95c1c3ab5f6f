"""Progress bars, tables and units for the terminal."""
