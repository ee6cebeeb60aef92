"""The report of a run: one HTML file that shows what was trained, how well it does, and where it fails."""
