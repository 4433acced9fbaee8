"""The error of this package."""


class ClassroomError(ValueError):
    """A class cannot be graded, or a file of it cannot be used; the text is one line that says why and how to fix it."""
