"""General-purpose helpers: atomic files, zips, markup, Ctrl-C."""
