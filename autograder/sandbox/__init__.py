"""The process that holds the student's code, and the pipe to it. Nothing here knows what is being graded."""
