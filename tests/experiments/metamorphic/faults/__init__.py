"""Faults that can be put into any correct program, by the question on which each must lose points."""

from __future__ import annotations

from tests.experiments.metamorphic.faults import autoencoder, cvae, gan, vae

ALL = (*autoencoder.FAULTS, *vae.FAULTS, *cvae.FAULTS, *gan.FAULTS)
