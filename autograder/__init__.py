"""An autograder for deep-learning assignments: a submission is a box that one may only ask questions of."""

__version__ = "0.1.0"
