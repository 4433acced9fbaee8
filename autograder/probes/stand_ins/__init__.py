"""Stand-ins: small modules that take the place of a student's earlier answers while a later question is graded.

None of them is an answer. Each is a "dye": it has the names and shapes that the assignment asks for and does something
else, which a check can recognise. So a later question loses nothing by an earlier mistake, and gains nothing from here.
"""
