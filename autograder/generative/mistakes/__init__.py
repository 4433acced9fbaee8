"""The catalogue of mistakes: each is declared once, by subject, and referred to by its id."""
