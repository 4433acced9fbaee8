"""Results for people to read: in the terminal, and as HTML pages for the instructor and for each student."""
