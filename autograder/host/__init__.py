"""The grader on a host that runs one container per upload (Gradescope): uploads in, verdicts to Otter, results.json out.

`python -m autograder.host ROOT` grades ROOT/submission and writes ROOT/results/results.json; `python -m autograder gradescope`
packs all of it into the zip that is uploaded there (autograder/build/gradescope.py).
"""
