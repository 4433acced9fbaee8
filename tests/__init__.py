import autograder.build  # noqa: F401  (before anything loads nbformat, see there)
