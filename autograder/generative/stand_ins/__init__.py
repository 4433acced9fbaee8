"""Stand-ins: small modules that take the place of a student's earlier answers while a later question is graded.

None of them is an answer. Each has the names and shapes that the assignment asks for, but computes
something else, which a check can recognise. So an earlier mistake costs nothing in a later question, and copying a stand-in
earns nothing.
"""
