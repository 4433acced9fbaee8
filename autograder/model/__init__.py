"""The values that everything else passes around: assignment, rubric, feedback, verdicts. Imports nothing else of ours."""
