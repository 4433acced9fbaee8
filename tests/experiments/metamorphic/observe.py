"""What a program does, without the grader: its modules are imported and called on small inputs, and the results collected.

Models get the same parameters in every program (filled in their own order), and every draw of normal noise is fixed by
its size and by how many draws of that size came before, whichever function makes it. Most of it runs in float64, so that
equal programs agree to many digits.
"""

from __future__ import annotations

import importlib
import io
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, TensorDataset

from tests.experiments.metamorphic.programs import Program, write

Observations = dict[str, Any]


class FixedNoise(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Every normal draw, by PyTorch or by NumPy's older functions, gives the same numbers in every program."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[int] = Counter()
        self.patches = [
            mock.patch(
                "numpy.random.standard_normal", lambda size=(): self.noise(torch.zeros(size).double()).numpy()
            ),
            mock.patch("numpy.random.randn", lambda *size: self.noise(torch.zeros(size).double()).numpy()),
        ]

    def __enter__(self) -> FixedNoise:
        for patch in self.patches:
            patch.start()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for patch in self.patches:
            patch.stop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = func._schema.name.partition("::")[2]
        if name in ("randn", "randn_like"):
            return self.noise(result)
        if name == "normal_":
            mean, std = _both(args[1:], kwargs)
            return args[0].copy_(mean + std * self.noise(result))
        if name == "normal":
            mean, std = _both(args, kwargs)
            return mean + std * self.noise(result)
        return result

    def noise(self, like: Tensor) -> Tensor:
        self.counts[like.numel()] += 1
        generator = numpy.random.default_rng([self.counts[like.numel()], like.numel()])
        return (
            torch.from_numpy(generator.standard_normal(like.numel()))
            .float()
            .to(like.dtype)
            .reshape(like.shape)
        )


def _both(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """Mean and standard deviation, from the arguments of one of PyTorch's functions."""
    given = dict(zip(("mean", "std"), args, strict=False)) | kwargs
    return given.get("mean", 0.0), given.get("std", 1.0)


def uniform(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def filled(model: Any) -> Any:
    """The model in float64, with parameters that depend on their positions and shapes only."""
    model.double()
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            scale = 1.5 / max(1, p[0].numel()) ** 0.5
            p.copy_(scale * (2 * uniform(*p.shape, seed=i + 7) - 1))
    return model


def values(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


@contextmanager
def loaded(program: Program) -> Iterator[Callable[[str], ModuleType]]:
    """Imports the program's modules inside the block; they are forgotten after it."""
    with tempfile.TemporaryDirectory(prefix="program-") as folder:
        write(program, Path(folder) / "program")
        names = {name.removesuffix(".py") for name in program}
        before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
        sys.path.insert(0, str(Path(folder) / "program"))
        try:
            yield importlib.import_module
        finally:
            sys.path.remove(str(Path(folder) / "program"))
            for name in names:
                sys.modules.pop(name, None)
            sys.modules.update(before)
            importlib.invalidate_caches()


def observe(
    program: Program, modules: tuple[str, ...] = ("autoencoder", "vae", "cvae", "gan")
) -> Observations:
    """What the given modules of the program do; an exception anywhere is raised."""
    watchers = {"autoencoder": autoencoder, "vae": vae, "cvae": cvae, "gan": gan}
    found: Observations = {}
    with (
        loaded(program) as load,
        torch.random.fork_rng(devices=[]),
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
    ):
        for name in modules:
            torch.manual_seed(5)
            found |= {f"{name}: {key}": value for key, value in watchers[name](load(name)).items()}
            found[f"{name}: the generator is not seeded"] = torch.initial_seed() == 5
    return found


def batches(n: int = 12, size: int = 5) -> DataLoader[Any]:
    data = TensorDataset(uniform(n, 1, 28, 28, seed=3), torch.arange(n) % 10)
    return DataLoader(data, batch_size=size)


def gradients(loss: Tensor, *of: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, of))


def autoencoder(module: Any) -> Observations:
    found: Observations = {}
    encoder, decoder = filled(module.Encoder(5, 20)), filled(module.Decoder(4, 12))
    for shape in ((3, 1, 20), (3, 20)):
        found[f"Encoder {shape}"] = encoder(2 * uniform(*shape) - 1)
    for shape in ((3, 4), (3, 1, 4)):
        found[f"Decoder {shape}"] = decoder(4 * uniform(*shape) - 2)
    loader = module.make_data_loader(TensorDataset(torch.arange(11)), batch_size=4)
    epochs = [[batch[0].tolist() for batch in loader] for _ in range(12)]
    found["batches"] = [[len(batch) for batch in epoch] for epoch in epochs]
    found["shuffled"] = len({str(epoch) for epoch in epochs}) > 6
    found["each once"] = all(len({e for batch in epoch for e in batch}) == 8 for epoch in epochs)
    found["batch of 64"] = len(next(iter(module.make_data_loader(TensorDataset(torch.arange(130)))))[0])
    found["workers"] = module.make_data_loader(TensorDataset(torch.arange(9)), 3, 2).num_workers
    x_hat, x = uniform(3, 1, 784).requires_grad_(), uniform(3, 1, 784, seed=2)
    for target in (x, x.squeeze(1), x.reshape(3, 1, 28, 28)):
        loss = module.reconstruction_loss(x_hat, target)
        found[f"reconstruction_loss {tuple(target.shape)}"] = [loss, *gradients(loss, x_hat)]
    found["reconstruction_loss at the ends"] = module.reconstruction_loss(x.round(), 1 - x.round())
    model = filled(module.AutoEncoder(6)).eval()
    losses = module.train_autoencoder(model, batches(), 2, 2e-3)
    found["train_autoencoder"] = [[float(v) for v in losses], values(model), model.training]
    model = filled(module.AutoEncoder(6)).float()
    with FixedNoise():
        images = module.sample_images(model, 3, 6)
    found["sample_images"] = [images, images.requires_grad]
    found["reconstruct"] = model.reconstruct(uniform(3, 1, 784, dtype=torch.float32))
    return found


def vae(module: Any) -> Observations:
    found: Observations = {
        "BETA": float(module.BETA),
        "INTERPOLATIONS": [list(p) for p in module.INTERPOLATIONS],
    }
    found |= variational(module.VAE(5, beta=0.3), ())
    mu, log_sigma = 2 * uniform(3, 1, 5) - 1, uniform(3, 1, 5, seed=2) - 1
    found["kl_divergence"] = module.kl_divergence(mu, log_sigma, log_sigma, mu)
    model = filled(module.VAE(5, beta=0.3)).eval()
    with FixedNoise():
        history = module.train_vae(model, batches(), 2, 2e-3)
    found["train_vae"] = [*losses_of(history), values(model), model.training]
    x = uniform(2, 784)
    found["interpolate"] = module.interpolate(filled(module.VAE(5)), x[0], x[1], 5, 4)
    return found


def losses_of(history: Any) -> list[list[float]]:
    return [[float(v) for v in history[key]] for key in ("rec_loss", "kl_loss")]


def variational(model: Any, labels: tuple[Tensor, ...]) -> Observations:
    """What a VAE's or CVAE's own methods do. q is compared with its middle axis removed."""
    found: Observations = {"beta": float(model.beta)}
    filled(model)
    mu, log_sigma = (
        (2 * uniform(4, 1, 5) - 1).requires_grad_(),
        (uniform(4, 1, 5, seed=2) - 1).requires_grad_(),
    )
    with FixedNoise():
        z = model.reparameterize(mu, log_sigma)
    found["reparameterize"] = [z, *gradients((z * uniform(4, 1, 5, seed=4)).sum(), mu, log_sigma)]
    draws = torch.stack(
        [model.reparameterize(torch.zeros(50, 1, 4), torch.zeros(50, 1, 4)) for _ in range(80)]
    )
    found["noise"] = Moments(draws)
    x = uniform(3, 1, 784)
    with FixedNoise():
        outputs = model(x, *labels)
    found["forward"] = [outputs["q"].flatten(1), outputs["rec"]]
    given = {"q": outputs["q"], "rec": outputs["rec"]}
    copies = [given["q"].detach().clone(), given["rec"].detach().clone()]
    total, parts = model.loss(x, given)
    found["loss leaves its argument alone"] = [sorted(given), [given["q"].flatten(1), given["rec"]]]
    found["loss's argument"] = [copies[0].flatten(1), copies[1]]
    total.backward()
    found["loss"] = [total, parts["rec_loss"], parts["kl_loss"], *[p.grad for p in model.parameters()]]
    model.zero_grad(set_to_none=True)
    images = model.reconstruct(x, *labels)
    found["reconstruct"] = [images, images.requires_grad, model.training]
    return found


def cvae(module: Any) -> Observations:
    labels = torch.tensor([0, 9, 4])
    found: Observations = {}
    for case in (torch.tensor([2, 0, 3]), torch.tensor([[2], [0]], dtype=torch.int32)):
        rows = module.idx2onehot(case, 4)
        found[f"idx2onehot {case.tolist()}"] = [rows, str(rows.dtype)]
    for wrong in (torch.tensor([4]), torch.tensor([-1]), torch.tensor([[1, 2]]), torch.tensor([1.0])):
        found[f"idx2onehot {wrong.tolist()}"] = refused(module.idx2onehot, wrong, 4)
    for name, c in (("conditional", (labels,)), ("unconditional", ())):
        model = module.CVAE(5, beta=0.3, conditional=bool(c), num_labels=10 if c else 0)
        found |= {f"{name}: {key}": value for key, value in variational(model, c).items()}
        with FixedNoise():
            history = module.train_cvae(filled(model).eval(), batches(), 2, 2e-3)
        found[f"{name}: train_cvae"] = [*losses_of(history), values(model), model.training]
    found["without classes"] = refused(module.CVAE, 5, 1.0, True, 0)
    model = filled(module.CVAE(5, conditional=True, num_labels=10))
    found["encoder"] = model.encoder(uniform(3, 784), labels).flatten(1)
    found["decoder"] = model.decoder(uniform(3, 5), labels)
    with FixedNoise():
        images = module.sample_conditional(model, labels, 5)
    found["sample_conditional"] = [images, images.requires_grad]
    many = module.sample_conditional(model, labels[:1].repeat(400), 5)
    found["samples"] = Moments(many, spread=0.05)
    return found


def refused(call: Callable[..., Any], *args: Any) -> bool:
    try:
        call(*args)
    except Exception:
        return True
    return False


class TinyGenerator(nn.Module):
    """Takes codes and gives images, as the real one does, in a hundredth of the time."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 12)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, codes: Tensor) -> Tensor:
        images = self.norm(self.fc(codes).reshape(-1, 3, 2, 2))
        return torch.sigmoid(nn.functional.interpolate(images, size=(32, 32)))


def gan(module: Any) -> Observations:
    with FixedNoise():
        model = module.DCGAN(device="cpu")
    found: Observations = {"initialisation": sorted(_drawn(model))}
    for name in ("optimizerG", "optimizerD"):
        group = getattr(model, name).param_groups[0]
        found[name] = [group["lr"], group["betas"], group["weight_decay"], _sizes(getattr(model, name))]
    logits = torch.tensor([[100.0], [-100.0], [0.3], [-2.0]], dtype=torch.float64, requires_grad=True)
    loss = model._classification_loss(logits, uniform(4, 1).round())
    found["_classification_loss"] = [loss, *gradients(loss, logits)]
    for network in (model._generator, model._discriminator):
        filled(network)
    model.double().eval()
    reached: list[bool] = []
    model.optimizerD.register_step_pre_hook(
        lambda *_: reached.append(
            any(p.grad is not None and bool(p.grad.any()) for p in model._generator.parameters())
        )
    )
    with FixedNoise():
        pairs = [model.training_step(uniform(4, 3, 32, 32, seed=seed)) for seed in (1, 2)]
    found["training_step"] = [[float(v) for v in p] for p in pairs]
    found["the generator has gradients at the discriminator's first step"] = reached[0]
    found["networks"] = [values(model._generator), values(model._discriminator)]
    found["modes"] = [m.training for n in (model._generator, model._discriminator) for m in n.modules()]
    with FixedNoise():
        history = module.DCGAN(device="cpu").fit(uniform(5, 3, 32, 32, dtype=torch.float32), epochs=2)
    found["fit"] = [len(history.dis_loss), len(history.gen_loss), [e for e, _ in history.samples]]
    found |= _searches(module)
    found |= _normed(module.SpectralNormDiscriminator())
    flagged = module.DCGAN(spectral_norm=True, device="cpu")
    found["spectral_norm=True"] = isinstance(flagged._discriminator, module.SpectralNormDiscriminator)
    return found


def _normed(network: Any) -> Observations:
    """The largest singular values of the normalised weights, and the network's outputs for weights of ours."""
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    x = uniform(4, 3, 32, 32, dtype=torch.float32)
    with torch.no_grad():
        for i, layer in enumerate(convolutions):
            found = dict(layer.named_parameters())
            weight = next(p for p in found.values() if p.dim() == 4)
            weight.copy_(uniform(*weight.shape, seed=i) - 0.5)
            found["bias"].zero_()
        network.fc.weight.copy_(uniform(1, 2048, seed=9) - 0.5)
        network.fc.bias.zero_()
        for _ in range(40):  # power iterations, and running averages
            outputs = network.train()(x)
        norms = [torch.linalg.matrix_norm(c.weight.flatten(1), 2).item() for c in convolutions]
        first = convolutions[0](x).square().mean().item()
    return {
        "spectral norms": [round(n, 1) for n in norms],
        "first normalised layer": round(first, 3),
        "spectral outputs": [Roughly(network.eval()(x)), Roughly(outputs)],
    }


def _searches(module: Any) -> Observations:
    model = module.DCGAN(device="cpu")
    model._generator = TinyGenerator()
    filled(model._generator), filled(model._discriminator)
    model.double().train()
    found: Observations = {}
    x = uniform(3, 3, 32, 32)
    loss = model._reconstruction_loss(x, uniform(3, 3, 32, 32, seed=2))
    found["_reconstruction_loss"] = loss
    before = values(model._generator) + [b.clone() for b in model._generator.buffers()]
    model.vis_learning_rate = 1e-4  # so slow that the search ends before it converges
    number, images = model.reconstruct(x)
    after = values(model._generator) + list(model._generator.buffers())
    found["reconstruct"] = [float(number), images, images.requires_grad]
    found["unchanged"] = all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    found["gradients left"] = [p.grad is not None and bool(p.grad.any()) for p in model.parameters()]
    found["modes after reconstruct"] = [m.training for m in model._generator.modules()]
    number, images = model.actmax(x.reshape(3, -1)[:, :64], steps=3)
    found["actmax"] = [images, images.requires_grad]
    return found


def _drawn(model: Any) -> Iterator[tuple[str, str]]:
    """Kind and shape of each layer's weight, and the distribution it looks like."""
    for layer in [*model._generator.modules(), *model._discriminator.modules()]:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
            weight = layer.weight.detach()
            centre = "1" if abs(weight.mean() - 1) < 0.02 else "0" if abs(weight.mean()) < 0.02 else "?"
            spread = (
                0.014 < weight.std() < 0.027 and weight.abs().sub(round(float(weight.mean()))).max() > 0.03
            )
            bias = isinstance(layer, nn.BatchNorm2d) and bool(layer.bias.any())
            yield (
                f"{type(layer).__name__} {tuple(weight.shape)}",
                f"N({centre}, 0.02): {bool(spread)}, bias {bias}",
            )


def _sizes(optimizer: Any) -> int:
    return sum(p.numel() for group in optimizer.param_groups for p in group["params"])


class Roughly:
    """A tensor that need agree to two digits only."""

    def __init__(self, value: Tensor) -> None:
        self.value = value.detach()

    def agrees(self, other: Roughly) -> bool:
        return bool((self.value - other.value).abs().max() < 0.03 * self.value.abs().max())


class Moments:
    """Independent draws, compared by their distribution: mean, standard deviation, kurtosis and correlations."""

    def __init__(self, draws: Tensor, spread: float = 0.08) -> None:
        rows = draws.detach().double().reshape(-1, draws.shape[-1])
        centred = rows - rows.mean()
        self.values = [rows.mean(), rows.std(), (centred**4).mean() / (centred**2).mean() ** 2 / 3]
        self.constant_rows = float(rows.diff(dim=0).abs().max() == 0)
        self.constant_columns = float(rows.diff(dim=1).abs().max() == 0)
        self.spread = spread

    def agrees(self, other: Moments) -> bool:
        close = all(abs(a - b) < self.spread for a, b in zip(self.values, other.values, strict=True))
        same = self.constant_rows == other.constant_rows and self.constant_columns == other.constant_columns
        return close and same
