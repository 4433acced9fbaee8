"""What is made from the solutions: the stubs that students fill in, the release, the upload zip."""

import sys

# nbformat loads jsonschema, which, where it finds this package, spends two seconds on grammars for a kind of address that no
# notebook has.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
