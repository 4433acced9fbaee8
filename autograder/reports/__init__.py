"""Results as people read them: in the terminal, as JSON and CSV files."""
