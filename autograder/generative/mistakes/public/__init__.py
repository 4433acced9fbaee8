"""Mistakes that public checks recognise. Students have these files: no formula of a right answer belongs here."""
