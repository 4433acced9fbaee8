"""A whole class: exports as they are downloaded, the roster, gradebooks, written points, and regrading.

Only for instructors: a release does not contain it, so commands import it when they run.
"""
