"""The reference, trained: figures, tables and the study of beta (`python -m autograder figures`, `... sweep`)."""
