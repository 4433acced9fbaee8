"""Rewrites that keep a program's behaviour, and faults put inside such programs: what the checks make of them."""
