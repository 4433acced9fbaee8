"""Gradescope, simulated: an image with a system of its own, a fresh container for each upload, its layout, its limits.

`make host` builds the upload zip, runs setup.sh in the image and run_autograder on uploads of every kind, and exits with 0 only
when every results.json is valid and right.
"""
