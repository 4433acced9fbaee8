"""Grading: one submission, many on this machine, many on a cluster."""
