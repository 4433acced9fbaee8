"""Mistakes that only hidden checks recognise; releases leave this folder out."""
