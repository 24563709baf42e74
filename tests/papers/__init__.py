"""What the papers print, checked against itself."""
