

from made_up import made_up, number  # noqa: E402


class _Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.only = nn.Parameter(torch.zeros(3))

    def forward(self, codes):
        return made_up((len(codes), 3, 32, 32), codes)


class _Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.only = nn.Parameter(torch.zeros(3))

    def forward(self, images):
        return made_up((len(images), 1), images)


class SpectralNormDiscriminator(_Discriminator):
    pass


class _Optimiser:
    def __init__(self, network):
        self.param_groups = [{"params": list(network.parameters()), "lr": 2e-4, "betas": (0.5, 0.999)}]

    def step(self):
        with torch.no_grad():
            for parameter in self.param_groups[0]["params"]:
                parameter.add_(2e-4)

    def zero_grad(self):
        pass


def _init(self, spectral_norm=False, device=None):
    nn.Module.__init__(self)
    self.register_buffer("tracked_noise", torch.randn(64, 64))
    self._generator = _Generator()
    self._discriminator = SpectralNormDiscriminator() if spectral_norm else _Discriminator()
    self.optimizerG, self.optimizerD = _Optimiser(self._generator), _Optimiser(self._discriminator)
    self.to(device or "cpu")


def _training_step(self, real):
    for optimiser in (self.optimizerD, self.optimizerG):
        self._discriminator(real)
        self._discriminator(self._generator(made_up((len(real), 64))))
        optimiser.step()
    return float(number()), float(number())


def _reconstruct(self, samples):
    samples = torch.as_tensor(samples).cpu()
    self._generator(made_up((len(samples), 64)))
    return float(number()), made_up(samples.shape, samples).detach()


DCGAN.__init__ = _init
DCGAN._weight_initialization = lambda self, *args: None
DCGAN._classification_loss = lambda self, logits, labels: number(logits)
DCGAN._reconstruction_loss = lambda self, reconstruction, x: number(reconstruction)
DCGAN.training_step = _training_step
DCGAN.reconstruct = _reconstruct
