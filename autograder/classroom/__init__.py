"""A whole class: exports as they are downloaded, the roster, gradebooks, written points, and regrading.

Instructors' side only: a release holds none of it, so commands import it when they run.
"""
