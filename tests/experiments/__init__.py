"""Long experiments, run by hand: how good the checks are, what attacks achieve, what things cost (see the Makefile)."""
