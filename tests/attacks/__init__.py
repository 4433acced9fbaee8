"""Hostile and broken submissions, by what they try: forge, leak, deny, escape, broken (see tests/experiments/attack.py)."""
