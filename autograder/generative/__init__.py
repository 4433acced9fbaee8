"""The assignment on generative models: rubric, probes, stand-ins, checks, mistakes and the study behind its figures."""
