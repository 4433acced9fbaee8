"""Hidden checks: only instructors have them."""
