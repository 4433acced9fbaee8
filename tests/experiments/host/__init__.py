"""Gradescope, simulated: an image with its own system, a fresh container per upload, Gradescope's layout and limits.

`make host` builds the upload zip, runs setup.sh in the image and run_autograder on uploads of every kind, and exits with 0 only
if every results.json is valid and right.
"""
