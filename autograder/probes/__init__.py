"""Probes: small functions that exercise a submission and return plain data. They run beside the student's code.

A probe holds no expectation and no secret: whoever reads it learns which question is asked, never the answer.
This package is sent to the sandbox as text; nothing in it may import from the rest of the grader.
"""
