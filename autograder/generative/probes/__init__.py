"""Probes: small functions that exercise a submission and return plain data. They run next to the student's code.

A probe holds no expectation and no secret: its source shows what is asked of the code, never the right answer.
This package is sent to the sandbox as text; nothing in it may import from the rest of the grader.
"""
