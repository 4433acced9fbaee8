"""Mistakes that public checks recognise. Students have these files: no more of a right answer than the docstrings say."""
