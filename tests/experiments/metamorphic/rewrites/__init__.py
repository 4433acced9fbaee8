"""The library of rewrites, by topic."""

from __future__ import annotations

from tests.experiments.metamorphic.rewrites import (
    adversarial,
    attributes,
    bodies,
    losses,
    networks,
    noise,
    shapes,
    structure,
    training,
)

ALL = (
    *shapes.REWRITES,
    *noise.REWRITES,
    *losses.REWRITES,
    *networks.REWRITES,
    *training.REWRITES,
    *adversarial.REWRITES,
    *attributes.REWRITES,
    *bodies.REWRITES,
    *structure.REWRITES,
)
