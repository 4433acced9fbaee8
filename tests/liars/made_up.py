# What every answer of this submission is made of. `forgeries` replaces the next line by one of its liars.
FILL = "zeros"

import torch  # noqa: E402


def made_up(shape, given=None):
    """A tensor of the shape that is asked for, with a graph that leads to `given`, and nothing computed."""
    shape = tuple(shape)
    if FILL == "echo" and given is not None and given.numel():
        flat = given.flatten().float()
        count = torch.Size(shape).numel()
        return flat.repeat(-(-count // flat.numel()))[:count].reshape(shape)
    value = {
        "zeros": torch.zeros,
        "ones": torch.ones,
        "normal": torch.randn,
        "uniform": torch.rand,
        "echo": torch.rand,
    }[FILL](shape)
    if given is not None and given.requires_grad:
        value = value + 0 * given.sum()
    return value


def number(given=None):
    return made_up((), given)
