"""The reference does what the assignment asks.

The expected values come from torch.distributions, from NumPy, or from a calculation by hand.
"""

import base64
import itertools
import math
import sys
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torch import nn
from torch.distributions import Normal
from torch.distributions import kl_divergence as kl_between
from torch.utils.data import DataLoader, TensorDataset


@pytest.fixture(autouse=True)
def repeatable(torch_seed: int) -> None:
    """All random numbers repeat."""


@pytest.fixture(scope="module")
def ae(solutions: SimpleNamespace) -> Any:
    return solutions.autoencoder


@pytest.fixture(scope="module")
def vae(solutions: SimpleNamespace) -> Any:
    return solutions.vae


@pytest.fixture(scope="module")
def cvae(solutions: SimpleNamespace) -> Any:
    return solutions.cvae


@pytest.fixture(scope="module")
def gan(solutions: SimpleNamespace) -> Any:
    return solutions.gan


def shapes(module: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(p.shape) for p in module.parameters()]


def parameters(module: nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def digits(n: int = 12, classes: int = 4) -> TensorDataset:
    return TensorDataset(torch.rand(n, 1, 28, 28), torch.arange(n) % classes)


def cross_entropy(x_hat: torch.Tensor, x: torch.Tensor) -> float:
    """By hand, in float64."""
    p, truth = x_hat.double().numpy(), x.double().numpy()
    return float(-(truth * np.log(p) + (1 - truth) * np.log(1 - p)).mean())


# --- autoencoder.py --------------------------------------------------------------------------------------


def test_encoder_has_the_layers_of_the_handout(ae: Any) -> None:
    encoder = ae.Encoder(7, 50)
    assert shapes(encoder.net) == [(256, 50), (256,), (64, 256), (64,), (7, 64), (7,)]
    assert [type(layer) for layer in encoder.net] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert encoder(torch.rand(3, 1, 50)).shape == (3, 1, 7)
    assert encoder(torch.rand(3, 50)).shape == (3, 7)


def test_decoder_has_the_layers_of_the_handout(ae: Any) -> None:
    decoder = ae.Decoder(7, 50)
    assert shapes(decoder.net) == [(64, 7), (64,), (256, 64), (256,), (50, 256), (50,)]
    z = 100 * torch.randn(3, 7)
    assert decoder(z).shape == (3, 1, 50)
    assert torch.equal(decoder(z), decoder(z.unsqueeze(1)))
    assert decoder(z).min() >= 0 and decoder(z).max() <= 1
    assert decoder(torch.randn(0, 7)).shape == (0, 1, 50)


def test_parameter_counts_are_those_of_the_handout(ae: Any, vae: Any, cvae: Any, gan: Any) -> None:
    assert count(ae.AutoEncoder(32)) == 439_728
    assert count(vae.VAE(32)) == 441_808
    assert count(cvae.CVAE(32)) == 441_808
    assert count(cvae.CVAE(32, conditional=True, num_labels=10)) == 445_008
    assert count(gan.Generator(64)) == 299_043
    assert count(gan.Discriminator()) == 168_033


def test_the_loader_shuffles_anew_every_epoch_and_drops_the_last_batch(ae: Any) -> None:
    loader = ae.make_data_loader(TensorDataset(torch.zeros(50, 1), torch.arange(50)), batch_size=8)
    assert isinstance(loader, DataLoader)
    orders = [torch.cat([labels for _, labels in loader]).tolist() for _ in range(3)]
    assert all(len(set(order)) == 48 for order in orders)
    assert orders[0] != orders[1] != orders[2]


@pytest.mark.parametrize("shape", [(5, 1, 28, 28), (5, 1, 784), (5, 784)])
def test_reconstruction_loss_is_the_mean_cross_entropy_for_any_shape_of_the_originals(
    ae: Any, shape: tuple[int, ...]
) -> None:
    x_hat, x = torch.rand(5, 1, 784) * 0.98 + 0.01, torch.rand(shape)
    loss = ae.reconstruction_loss(x_hat, x)
    assert loss.ndim == 0
    assert loss.item() == pytest.approx(cross_entropy(x_hat, x.reshape(5, 1, 784)), rel=1e-5)


def test_reconstruction_loss_is_finite_at_exactly_0_and_1(ae: Any) -> None:
    x = torch.tensor([[[0.0, 1.0, 0.0, 1.0]]])
    assert ae.reconstruction_loss(x, x).item() == 0
    assert math.isfinite(ae.reconstruction_loss(1 - x, x).item())


def test_training_uses_one_adam_for_the_whole_run(ae: Any) -> None:
    batches = [(torch.rand(3, 1, 28, 28), torch.zeros(3)) for _ in range(4)]
    model, twin = ae.AutoEncoder(4), ae.AutoEncoder(4)
    twin.load_state_dict(model.state_dict())
    model.eval()
    losses = ae.train_autoencoder(model, batches, epochs=2, learning_rate=3e-3)
    optimizer = torch.optim.Adam(twin.parameters(), lr=3e-3)
    expected = []
    for images, _ in batches * 2:
        x = images.reshape(3, 1, 784)
        loss = nn.BCELoss()(twin(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    assert all(type(loss) is float for loss in losses)
    assert losses == pytest.approx(expected, rel=1e-6)
    assert model.training
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_samples_are_decoded_from_fresh_normal_codes(ae: Any) -> None:
    seen = []

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 784)

        def decoder(self, z: torch.Tensor) -> torch.Tensor:
            seen.append(z)
            return self.layer(z).sigmoid().unsqueeze(1)

    images = ae.sample_images(Model(), 2000, 6)
    assert images.shape == (2000, 1, 28, 28)
    assert not images.requires_grad
    assert seen[0].shape == (2000, 6)
    assert seen[0].mean().abs() < 0.05 and abs(seen[0].std() - 1) < 0.05
    assert seen[0].abs().max() > 3  # a uniform distribution of this variance ends at 1.73
    ae.sample_images(Model(), 2000, 6)
    assert not torch.equal(seen[0], seen[1])


def test_autoencoder_reconstructs_without_a_graph(ae: Any) -> None:
    model, x = ae.AutoEncoder(4), torch.rand(3, 1, 784)
    assert model(x).shape == (3, 1, 784)
    assert not model.reconstruct(x).requires_grad
    torch.testing.assert_close(model.reconstruct(x), model(x).detach().reshape(3, 28, 28))
    assert ae.AutoEncoder(4, image_size=64).reconstruct(torch.rand(3, 1, 64)).shape == (3, 8, 8)


# --- vae.py ----------------------------------------------------------------------------------------------


def test_kl_divergence_is_the_one_of_torch_distributions(vae: Any) -> None:
    mu1, log_sigma1, mu2, log_sigma2 = torch.randn(4, 5, 1, 3, dtype=torch.float64)
    expected = kl_between(Normal(mu1, log_sigma1.exp()), Normal(mu2, log_sigma2.exp()))
    torch.testing.assert_close(vae.kl_divergence(mu1, log_sigma1, mu2, log_sigma2), expected)
    assert not torch.allclose(vae.kl_divergence(mu2, log_sigma2, mu1, log_sigma1), expected)


def test_reparameterize_draws_from_the_normal_distribution_it_is_given(vae: Any) -> None:
    mu = torch.tensor([5.0, -3.0]).repeat(20_000, 1, 1)
    log_sigma = torch.tensor([-1.0, 0.7]).repeat(20_000, 1, 1)
    z = vae.VAE(2).reparameterize(mu, log_sigma)
    assert z.shape == mu.shape
    torch.testing.assert_close(z.mean(dim=0), mu[0], atol=0.08, rtol=0)
    torch.testing.assert_close(z.std(dim=0), log_sigma[0].exp(), rtol=0.03, atol=0)
    eps = (z - mu) / log_sigma.exp()
    assert torch.corrcoef(eps[:, 0].T)[0, 1].abs() < 0.03
    assert len(eps[:, 0, 0].unique()) > 19_000


def test_reparameterize_lets_gradients_through(vae: Any) -> None:
    mu = torch.randn(4, 1, 3, requires_grad=True)
    log_sigma = torch.randn(4, 1, 3, requires_grad=True)
    z = vae.VAE(3).reparameterize(mu, log_sigma)
    z.sum().backward()
    torch.testing.assert_close(mu.grad, torch.ones_like(mu))
    torch.testing.assert_close(log_sigma.grad, (z - mu).detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 3])
def test_vae_loss_is_reconstruction_plus_beta_times_kl(vae: Any, n: int, dtype: torch.dtype) -> None:
    model = vae.VAE(6, beta=0.3).to(dtype)
    x = torch.rand(n, 1, 784, dtype=dtype)
    outputs = model(x)
    assert outputs["q"].shape == (n, 1, 12) and outputs["rec"].shape == (n, 1, 784)
    before = dict(outputs)
    total, parts = model.loss(x, outputs)
    mu, log_sigma = outputs["q"].detach().split(6, dim=-1)
    kl = kl_between(Normal(mu, log_sigma.exp()), Normal(0.0, 1.0)).mean()
    assert total.ndim == parts["rec_loss"].ndim == parts["kl_loss"].ndim == 0
    assert total.dtype == dtype
    assert parts["kl_loss"].item() == pytest.approx(kl.item(), rel=1e-4)
    assert parts["rec_loss"].item() == pytest.approx(cross_entropy(outputs["rec"].detach(), x), rel=1e-4)
    assert total.item() == pytest.approx(parts["rec_loss"].item() + 0.3 * parts["kl_loss"].item(), rel=1e-5)
    assert outputs == before


def test_vae_reconstructs_the_posterior_mean(vae: Any) -> None:
    model, x = vae.VAE(6), torch.rand(3, 1, 784)
    rebuilt = model.reconstruct(x)
    assert rebuilt.shape == (3, 28, 28) and not rebuilt.requires_grad
    assert torch.equal(rebuilt, model.reconstruct(x))
    torch.testing.assert_close(rebuilt, model.decoder(model.encoder(x)[..., :6]).detach().reshape(3, 28, 28))


def test_vae_training_reports_floats_and_learns(ae: Any, vae: Any, solutions: SimpleNamespace) -> None:
    model = vae.VAE(8, beta=vae.BETA)
    loader = ae.make_data_loader(solutions.data.load_digits_offline(), batch_size=64)
    history = vae.train_vae(model, loader, epochs=3, learning_rate=1e-3)
    assert set(history) == {"rec_loss", "kl_loss"}
    for values in history.values():
        assert len(values) == 3 * len(loader) and all(type(value) is float for value in values)
    assert history["rec_loss"][-1] < history["rec_loss"][0] - 0.15


def test_constants_are_within_the_accepted_ranges(vae: Any) -> None:
    assert 0.02 <= vae.BETA <= 0.2
    assert pytest.approx(32 / 784, abs=0.005) == vae.BETA
    (a, b), (c, d) = vae.INTERPOLATIONS
    assert a != b and c != d and {a, b} != {c, d} and {a, b, c, d} <= set(range(10))


@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_an_interpolation_reaches_both_of_its_ends(ae: Any, vae: Any, kind: str) -> None:
    model = ae.AutoEncoder(6) if kind == "ae" else vae.VAE(6)
    x_start, x_end = torch.rand(1, 28, 28), torch.rand(784)
    strip = vae.interpolate(model, x_start, x_end, nz=6, steps=5)
    assert strip.shape == (5, 28, 28) and not strip.requires_grad
    torch.testing.assert_close(strip[0], model.reconstruct(x_start.reshape(1, 1, 784))[0])
    torch.testing.assert_close(strip[-1], model.reconstruct(x_end.reshape(1, 1, 784))[0])
    codes = model.encoder(torch.stack([x_start.reshape(1, 784), x_end.reshape(1, 784)]))[..., :6]
    torch.testing.assert_close(strip[2], model.decoder(codes.mean(dim=0)).detach().reshape(28, 28))
    with pytest.raises(ValueError, match="at least 2"):
        vae.interpolate(model, x_start, x_end, nz=6, steps=1)


# --- cvae.py ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_one_hot_rows_match_the_labels(cvae: Any, dtype: torch.dtype) -> None:
    for idx in (torch.tensor([2, 0, 4], dtype=dtype), torch.tensor([[2], [0], [4]], dtype=dtype)):
        onehot = cvae.idx2onehot(idx, 5)
        assert onehot.dtype == torch.float32
        assert torch.equal(onehot, torch.eye(5)[[2, 0, 4]])
    assert cvae.idx2onehot(torch.tensor([0]), 1).tolist() == [[1.0]]
    assert cvae.idx2onehot(torch.zeros(0, dtype=dtype), 5).shape == (0, 5)


@pytest.mark.parametrize(
    "idx",
    [
        torch.tensor([0, 5]),
        torch.tensor([-1, 0]),
        torch.tensor([[0, 1], [2, 3]]),
        torch.tensor([[0, 1]]),
        torch.tensor(1),
        torch.tensor([[[1]]]),
        torch.tensor([0.0, 1.0]),
        torch.tensor([True, False]),
    ],
    ids=["too large", "negative", "(2, 2)", "(1, 2)", "0-dim", "3-dim", "float", "bool"],
)
def test_one_hot_refuses_invalid_labels(cvae: Any, idx: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="labels"):
        cvae.idx2onehot(idx, 5)


def test_labels_are_appended_to_the_input(cvae: Any) -> None:
    encoder, decoder = cvae.CVAEEncoder(4, 9, True, 3), cvae.CVAEDecoder(4, 9, True, 3)
    assert shapes(encoder)[0] == (256, 12) and shapes(decoder)[0] == (64, 7)
    x, z, c = torch.rand(5, 1, 9), torch.randn(5, 4), torch.tensor([2, 0, 1, 1, 2])
    onehot = torch.eye(3)[c]
    torch.testing.assert_close(encoder(x, c), encoder.net(torch.cat([x, onehot.unsqueeze(1)], dim=-1)))
    torch.testing.assert_close(decoder(z, c), decoder.net(torch.cat([z, onehot], dim=-1)))
    torch.testing.assert_close(decoder(z.unsqueeze(1), c.unsqueeze(1)), decoder(z, c))
    assert decoder(z, c).shape == (5, 1, 9)


def test_without_labels_a_cvae_is_a_vae(cvae: Any) -> None:
    model, x = cvae.CVAE(4, beta=0.2), torch.rand(3, 1, 784)
    outputs = model(x)
    assert outputs["q"].shape == (3, 1, 8) and outputs["rec"].shape == (3, 1, 784)
    assert model.loss(x, outputs)[0].isfinite()
    assert model.reconstruct(x).shape == (3, 28, 28)


def test_a_conditional_model_needs_to_know_how_many_labels_there_are(cvae: Any) -> None:
    for num_labels in (0, -1):
        with pytest.raises(ValueError, match="num_labels"):
            cvae.CVAE(4, conditional=True, num_labels=num_labels)
    with pytest.raises(ValueError, match="needs labels"):
        cvae.CVAE(4, conditional=True, num_labels=2)(torch.rand(3, 1, 784))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cvae_loss_and_reconstruction(cvae: Any, dtype: torch.dtype) -> None:
    model = cvae.CVAE(4, beta=0.2, conditional=True, num_labels=3).to(dtype)
    x, c = torch.rand(5, 1, 784, dtype=dtype), torch.tensor([2, 0, 1, 1, 2])
    outputs = model(x, c)
    total, parts = model.loss(x, outputs)
    mu, log_sigma = outputs["q"].detach().split(4, dim=-1)
    kl = kl_between(Normal(mu, log_sigma.exp()), Normal(0.0, 1.0)).mean()
    assert parts["kl_loss"].item() == pytest.approx(kl.item(), rel=1e-4)
    assert total.item() == pytest.approx(parts["rec_loss"].item() + 0.2 * kl.item(), rel=1e-5)
    rebuilt = model.reconstruct(x, c)
    torch.testing.assert_close(rebuilt, model.decoder(mu, c).detach().reshape(5, 28, 28))
    assert torch.equal(rebuilt, model.reconstruct(x, c)) and not rebuilt.requires_grad
    assert not torch.allclose(rebuilt, model.reconstruct(x, (c + 1) % 3))


def test_train_cvae_passes_labels_only_when_conditional(ae: Any, cvae: Any) -> None:
    loader = ae.make_data_loader(digits(), batch_size=5)
    for conditional in (True, False):
        model = cvae.CVAE(4, conditional=conditional, num_labels=4)
        seen: list[Any] = []
        model.encoder.register_forward_pre_hook(lambda _, arguments, seen=seen: seen.append(arguments[1]))
        history = cvae.train_cvae(model, loader, epochs=2, learning_rate=1e-3)
        assert [len(values) for values in history.values()] == [4, 4]
        assert all(type(value) is float for values in history.values() for value in values)
        assert all((c is not None) == conditional for c in seen) and len(seen) == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_conditional_samples_are_fresh_and_in_the_order_of_their_labels(
    cvae: Any, dtype: torch.dtype
) -> None:
    model = cvae.CVAE(4, conditional=True, num_labels=3).to(dtype)
    seen = []
    model.decoder.register_forward_pre_hook(lambda _, arguments: seen.append(arguments))
    labels = torch.tensor([2, 0, 1, 1, 2, 2, 0])
    images = cvae.sample_conditional(model, labels, nz=4)
    assert images.shape == (7, 28, 28) and not images.requires_grad
    z, c = seen[0]
    assert z.shape == (7, 4) and torch.equal(c, labels)
    assert len(z.unique()) == 28
    torch.testing.assert_close(images, model.decoder(z, labels).detach().reshape(7, 28, 28))
    assert not torch.equal(images, cvae.sample_conditional(model, labels, nz=4))


# --- gan.py ----------------------------------------------------------------------------------------------


@pytest.fixture
def dcgan(gan: Any) -> Any:
    return gan.DCGAN(device="cpu")


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_initialisation_reaches_every_convolution(gan: Any, spectral_norm: bool) -> None:
    model = gan.DCGAN(spectral_norm=spectral_norm, device="cpu")
    convolutions: list[Any] = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    norms: list[Any] = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(convolutions) == 6 and len(norms) == 5
    for layer in convolutions:
        weight = (
            layer.parametrizations.weight.original if hasattr(layer, "parametrizations") else layer.weight
        )
        assert weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert abs(weight.mean().item()) < 0.003
    for norm in norms:
        assert norm.weight.mean().item() == pytest.approx(1, abs=0.02)
        assert norm.weight.std().item() == pytest.approx(0.02, rel=0.5)
        assert not norm.bias.any()
    # Linear layers keep PyTorch's default, uniform up to 1 / sqrt(inputs).
    assert model._generator.fc.weight.abs().max().item() == pytest.approx(1 / 8, rel=0.01)


def test_initialisation_reaches_the_older_form_of_spectral_norm(gan: Any) -> None:
    layer: Any = nn.utils.spectral_norm(nn.Conv2d(8, 16, 4))
    layer(torch.rand(2, 8, 8, 8))
    gan.normal_weight_(layer, 0.0, 0.02)
    assert layer.weight_orig.std().item() == pytest.approx(0.02, rel=0.1)


def test_the_optimisers_hold_their_own_network(dcgan: Any) -> None:
    pairs = ((dcgan.optimizerG, dcgan._generator), (dcgan.optimizerD, dcgan._discriminator))
    for optimizer, network in pairs:
        held = [p for group in optimizer.param_groups for p in group["params"]]
        assert [id(p) for p in held] == [id(p) for p in network.parameters()]
        (group,) = optimizer.param_groups
        assert (group["lr"], group["betas"], group["weight_decay"]) == (2e-4, (0.5, 0.999), 0)


def test_constants_are_those_of_the_handout(gan: Any) -> None:
    cls = gan.DCGAN
    assert (cls.num_epoch, cls.batch_size, cls.log_step, cls.visualize_step) == (25, 128, 100, 2)
    assert (cls.code_size, cls.learning_rate, cls.vis_learning_rate) == (64, 2e-4, 1e-2)


def test_classification_loss_is_right_for_large_logits(dcgan: Any) -> None:
    logits = torch.tensor([[-100.0], [100.0], [0.3], [-2.0]])
    labels = torch.tensor([[1.0], [0.0], [1.0], [0.0]])
    p = 1 / (1 + math.exp(-0.3)), 1 / (1 + math.exp(2))
    expected = (100 + 100 - math.log(p[0]) - math.log(1 - p[1])) / 4
    assert dcgan._classification_loss(logits, labels).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("n", [2, 5])
def test_a_training_step_changes_both_networks_once(dcgan: Any, n: int) -> None:
    dcgan.eval()
    before_g, before_d = parameters(dcgan._generator), parameters(dcgan._discriminator)
    losses = dcgan.training_step(torch.rand(n, 3, 32, 32))
    assert all(type(loss) is float and math.isfinite(loss) for loss in losses)
    assert dcgan._generator.training and dcgan._discriminator.training
    for optimizer in (dcgan.optimizerG, dcgan.optimizerD):
        assert {int(s["step"]) for s in optimizer.state.values()} == {1}
    assert any(not torch.equal(a, b) for a, b in zip(before_g, dcgan._generator.parameters(), strict=True))
    assert any(
        not torch.equal(a, b) for a, b in zip(before_d, dcgan._discriminator.parameters(), strict=True)
    )


def test_the_discriminator_sees_real_and_fake_separately_then_fakes_from_fresh_noise(dcgan: Any) -> None:
    codes, images, labels = [], [], []
    dcgan._generator.register_forward_pre_hook(lambda _, a: codes.append(a[0].detach().clone()))
    dcgan._discriminator.register_forward_pre_hook(lambda _, a: images.append(a[0]))
    loss_of, losses = dcgan._classification_loss, []

    def spy(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        labels.append(sorted(set(label.flatten().tolist())))
        losses.append(loss_of(logits, label))
        return losses[-1]

    dcgan._classification_loss = spy
    real = torch.rand(4, 3, 32, 32)
    dis_loss, gen_loss = dcgan.training_step(real)
    assert [len(batch) for batch in images] == [4, 4, 4]
    assert torch.equal(images[0], real)
    assert not images[1].requires_grad and images[2].requires_grad
    assert labels == [[1.0], [0.0], [1.0]]
    assert dis_loss == pytest.approx((losses[0] + losses[1]).item())
    assert gen_loss == pytest.approx(losses[2].item())
    assert len(codes) == 2 and not torch.equal(codes[0], codes[1])


def test_the_generator_gets_no_gradient_in_the_discriminators_step(dcgan: Any) -> None:
    dcgan.train()
    dcgan._discriminator_step(torch.rand(3, 3, 32, 32))
    assert all(p.grad is None for p in dcgan._generator.parameters())
    assert all(p.grad is not None for p in dcgan._discriminator.parameters())


def test_a_step_does_not_use_the_gradients_of_the_step_before(dcgan: Any) -> None:
    """Two equal models, one of them with leftover gradients, take the same step."""
    twin = type(dcgan)(device="cpu")
    twin.load_state_dict(dcgan.state_dict())
    for p in twin.parameters():
        p.grad = torch.ones_like(p)
    real = torch.rand(3, 3, 32, 32)
    torch.manual_seed(1)
    first = dcgan.training_step(real)
    torch.manual_seed(1)
    assert twin.training_step(real) == pytest.approx(first)
    for a, b in zip(dcgan.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_spectral_norm_makes_the_largest_singular_value_of_every_convolution_1(gan: Any) -> None:
    model = gan.DCGAN(spectral_norm=True, device="cpu")
    assert isinstance(model._discriminator, gan.SpectralNormDiscriminator)
    convolutions = [m for m in model._discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 3
    model._discriminator.eval()
    for layer in convolutions:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
        assert largest.item() == pytest.approx(1, rel=0.02)
    assert model._discriminator(torch.rand(3, 3, 32, 32)).shape == (3, 1)
    assert not isinstance(gan.DCGAN(device="cpu")._discriminator, gan.SpectralNormDiscriminator)


def test_fit_does_not_change_the_images_and_returns_plain_numbers(dcgan: Any) -> None:
    samples = np.random.default_rng(0).random((9, 3, 32, 32), dtype=np.float32)
    before = samples.copy()
    dcgan.batch_size = 4
    history = dcgan.fit(samples, epochs=3)
    assert np.array_equal(samples, before)
    assert len(history.dis_loss) == len(history.gen_loss) == 6  # two full batches per epoch
    assert all(type(loss) is float for loss in history.dis_loss + history.gen_loss)
    ((epoch, images),) = history.samples
    assert epoch == 2
    assert images.shape == (64, 3, 32, 32) and not images.requires_grad


def test_fit_shows_every_image_in_a_new_order(dcgan: Any) -> None:
    seen: list[list[float]] = []

    def spy(real: torch.Tensor) -> tuple[float, float]:
        seen.append(real[:, 0, 0, 0].tolist())
        return 0.0, 0.0

    dcgan.training_step = spy
    dcgan.batch_size = 4
    dcgan.fit(torch.arange(16.0).reshape(16, 1, 1, 1).expand(16, 3, 32, 32) / 16, epochs=2)
    first, second = (list(chain(*batches)) for batches in (seen[:4], seen[4:]))
    assert sorted(first) == sorted(second) == [i / 16 for i in range(16)]
    assert first != second


def test_fit_takes_fewer_images_than_a_batch_but_not_fewer_than_two(dcgan: Any) -> None:
    assert len(dcgan.fit(torch.rand(3, 3, 32, 32), epochs=1).dis_loss) == 1
    assert dcgan.fit(torch.rand(3, 3, 32, 32), epochs=0).dis_loss == []
    with pytest.raises(ValueError, match="at least 2"):
        dcgan.fit(torch.rand(1, 3, 32, 32))


def test_fit_is_silent_without_a_terminal(
    dcgan: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)  # another test may have loaded it
    dcgan.fit(torch.rand(4, 3, 32, 32), epochs=1)
    assert capfd.readouterr() == ("", "")


def test_generate_uses_evaluation_mode_and_restores_the_mode_of_each_layer(dcgan: Any) -> None:
    dcgan._generator.train()
    norm = dcgan._generator.upsample_and_generate[0]
    norm.eval()
    before = state(dcgan)
    images = dcgan.generate(torch.randn(5, 64))
    assert images.shape == (5, 3, 32, 32) and not images.requires_grad
    assert equal(before, state(dcgan))
    assert dcgan._generator.training and not norm.training


def reconstruct_by_hand(generator: nn.Module, x: torch.Tensor) -> tuple[float, torch.Tensor]:
    generator.eval()
    codes = torch.zeros(len(x), 64, requires_grad=True)
    optimizer = torch.optim.Adam([codes], lr=1e-2)
    for _ in range(500):
        optimizer.zero_grad()
        ((generator(codes) - x) ** 2).mean().backward()
        optimizer.step()
    images = generator(codes).detach()
    return ((images - x) ** 2).mean().item(), images


def test_reconstruct_is_500_adam_steps_from_zero_and_leaves_no_trace(dcgan: Any) -> None:
    dcgan.training_step(
        torch.rand(4, 3, 32, 32)
    )  # so that the networks have gradients, and statistics of their own
    dcgan._generator.train()
    dcgan._discriminator.eval()
    before = state(dcgan)
    gradients = [p.grad.clone() for p in dcgan.parameters()]
    x = torch.rand(3, 3, 1, 1).expand(3, 3, 32, 32).contiguous()
    loss, images = dcgan.reconstruct(x)
    assert type(loss) is float
    assert images.shape == x.shape and images.device.type == "cpu" and not images.requires_grad
    assert equal(before, state(dcgan))
    assert all(torch.equal(p.grad, g) for p, g in zip(dcgan.parameters(), gradients, strict=True))
    assert dcgan._generator.training and not dcgan._discriminator.training
    expected_loss, expected_images = reconstruct_by_hand(dcgan._generator, x)
    assert loss == pytest.approx(expected_loss, rel=1e-3)
    torch.testing.assert_close(images, expected_images, atol=1e-3, rtol=0)


def test_reconstruct_takes_arrays_and_leaves_no_gradient(dcgan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).random((2, 3, 32, 32), dtype=np.float32)
    before = x.copy()
    loss, _ = dcgan.reconstruct(x)
    assert np.array_equal(x, before)
    assert all(p.grad is None for p in dcgan.parameters())
    assert dcgan._reconstruction_loss(torch.zeros(3, 2), torch.full((3, 2), 0.5)).item() == 0.25
    assert 0 < loss < 0.2


def test_actmax_raises_the_discriminators_belief_and_leaves_no_trace(dcgan: Any) -> None:
    codes = torch.randn(3, 64)
    before, codes_before = state(dcgan), codes.clone()
    start, _ = dcgan.actmax(codes, steps=0)
    loss, images = dcgan.actmax(codes, steps=30)
    assert loss < start
    assert images.shape == (3, 3, 32, 32) and not images.requires_grad
    assert torch.equal(codes, codes_before) and equal(before, state(dcgan))
    assert all(p.grad is None for p in dcgan.parameters())


def test_dcgan_changes_its_dtype_and_mode_like_any_module(gan: Any) -> None:
    model = gan.DCGAN(device="cpu").double()
    assert model.tracked_noise.dtype == torch.float64
    model.training_step(torch.rand(3, 3, 32, 32, dtype=torch.float64))
    assert "tracked_noise" in model.state_dict()
    assert model.eval() is model and not model.training  # nn.Module's own train and eval work


def test_on_the_meta_device_nothing_is_left_on_the_cpu(vae: Any, cvae: Any, gan: Any) -> None:
    """The meta device replaces a GPU: a tensor made on the CPU would collide with the model's."""
    x = torch.rand(3, 1, 784, device="meta")
    model = vae.VAE(4).to("meta")
    model.loss(x, model(x))[0].backward()
    assert model.reconstruct(x).device.type == "meta"
    dcgan = gan.DCGAN(device="meta")
    assert {t.device.type for t in (*dcgan.parameters(), *dcgan.buffers())} == {"meta"}
    logits = dcgan._discriminator(dcgan._generator(dcgan.tracked_noise))
    dcgan._classification_loss(logits, torch.ones_like(logits)).backward()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
def test_everything_runs_on_a_gpu(ae: Any, vae: Any, cvae: Any, gan: Any) -> None:
    loader = ae.make_data_loader(digits(), batch_size=5)
    model = cvae.CVAE(4, conditional=True, num_labels=4).cuda()
    cvae.train_cvae(model, loader, 1, 1e-3, device="cuda")
    assert cvae.sample_conditional(model, torch.arange(4), 4).is_cuda
    assert model.reconstruct(torch.rand(4, 1, 784, device="cuda"), torch.arange(4).cuda()).is_cuda
    plain = vae.VAE(4).cuda()
    vae.train_vae(plain, loader, 1, 1e-3, device="cuda")
    assert vae.interpolate(plain, torch.rand(784), torch.rand(784), 4, 3).is_cuda
    assert ae.sample_images(plain, 3, 4, device="cuda").is_cuda
    for spectral_norm in (False, True):
        dcgan = gan.DCGAN(spectral_norm)
        assert dcgan.device.type == "cuda"
        dcgan.fit(torch.rand(6, 3, 32, 32), epochs=2)
        assert dcgan.reconstruct(torch.rand(2, 3, 32, 32))[1].device.type == "cpu"
        dcgan.actmax(dcgan.tracked_noise, steps=2)


# --- figures.py ------------------------------------------------------------------------------------------


def test_figures_are_drawn_without_a_screen_or_global_state(
    solutions: SimpleNamespace, tmp_path: Path
) -> None:
    draw = solutions.figures
    digit, colour = torch.rand(5, 28, 28), torch.rand(5, 3, 32, 32)
    drawn = [
        draw.image_grid(digit.unsqueeze(1), "digits", columns=3),
        draw.image_grid(colour[:1], "one"),
        draw.loss_curves({"rec_loss": [3.0, 2.0, 1.0], "kl_loss": [1.0, 2.0, 3.0]}, "VAE"),
        draw.reconstructions(digit, digit.reshape(5, 1, 784), model="VAE", split="test"),
        draw.reconstructions(colour, colour, model="DCGAN", split="train", count=2),
        draw.interpolations({"AE": digit, "VAE": digit[:3]}, "from 4 to 9"),
        draw.interpolations(
            {"AE": digit, "VAE": digit[:3]}, "4 to 9", dict.fromkeys(("AE", "VAE"), (digit[0], digit[4]))
        ),
        draw.image_rows({"before": colour, "after": colour[:2]}, "rows"),
        draw.beta_study(
            digit[:2], {"beta 0": (digit[:2], digit), "beta 10": (digit[:2], digit[:3])}, "by beta"
        ),
        draw.conditional_samples(digit, torch.arange(5), columns=4),
        draw.gan_samples(colour, epoch=2),
        draw.gan_losses([1.0, 0.5], [2.0, 2.5]),
        draw.compared_gan_losses({"without": ([1.0, 0.5], [2.0, 2.5]), "with": ([1.0], [2.0])}),
        draw.functions(torch.arange(3.0), {"f": torch.ones(3), "g": torch.zeros(3)}, "two", "x", "y"),
    ]
    for i, figure in enumerate(drawn):
        assert len(figure.description) > 20
        figure.savefig(tmp_path / f"{i}.png")
        assert (tmp_path / f"{i}.png").stat().st_size > 1000


def test_a_figure_names_the_set_that_it_shows(solutions: SimpleNamespace) -> None:
    images = torch.rand(2, 28, 28)
    for split in ("train", "test"):
        figure = solutions.figures.reconstructions(images, images, model="VAE", split=split)
        assert split in figure.get_suptitle()
    with pytest.raises(ValueError, match="split"):
        solutions.figures.reconstructions(images, images, model="VAE", split="validation")


def shown(axes: Any) -> torch.Tensor | None:
    """The picture in a panel, if there is one."""
    return torch.as_tensor(axes.images[0].get_array().data) if axes.images else None


def test_an_interpolation_is_shown_between_its_two_originals(solutions: SimpleNamespace) -> None:
    strip, ends = torch.rand(4, 28, 28), torch.rand(2, 28, 28)
    figure = solutions.figures.interpolations({"AE": strip}, "title", {"AE": (ends[0], ends[1])})
    panels = [shown(axes) for axes in figure.axes]
    assert torch.equal(torch.stack(panels), torch.stack([ends[0], *strip, ends[1]]))
    assert [axes.get_title() for axes in figure.axes] == ["original", "", "", "", "", "original"]


def test_strips_of_different_lengths_each_end_with_their_original(solutions: SimpleNamespace) -> None:
    long, short, end = torch.rand(4, 28, 28), torch.rand(2, 28, 28), torch.rand(28, 28)
    figure = solutions.figures.interpolations(
        {"a": long, "b": short}, "title", {"a": (end, end), "b": (end, end)}
    )
    row = figure.axes[6:]
    assert torch.equal(torch.stack([shown(axes) for axes in row[:4]]), torch.stack([end, *short, end]))
    assert [shown(axes) for axes in row[4:]] == [None, None]


def test_the_beta_study_shows_originals_reconstructions_and_samples_in_order(
    solutions: SimpleNamespace,
) -> None:
    originals, rebuilt, samples = torch.rand(2, 28, 28), torch.rand(2, 28, 28), torch.rand(3, 28, 28)
    figure = solutions.figures.beta_study(originals, {"beta 0": (rebuilt, samples)}, "by beta")
    panels = [shown(axes) for axes in figure.axes]
    assert torch.equal(torch.stack(panels[:2]), originals)
    assert panels[2:6] == [None] * 4
    assert torch.equal(torch.stack(panels[6:8]), rebuilt)
    assert panels[8] is None
    assert torch.equal(torch.stack(panels[9:]), samples)
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["original", "beta 0"]
    FigureCanvasAgg(figure).draw()
    headings = [axes.title for axes in figure.axes if axes.get_title()]
    assert [heading.get_text() for heading in headings] == ["test images and reconstructions", "samples"]
    assert len({round(heading.get_window_extent().y1) for heading in headings}) == 1, "of the same height"


def test_compared_runs_have_the_same_scale(solutions: SimpleNamespace) -> None:
    runs = {"without": ([1.0, 0.5], [2.0, 9.0]), "with": ([1.0, 1.0], [2.0, 2.0])}
    left, right = solutions.figures.compared_gan_losses(runs, smoothing=1).axes
    assert left.get_ylim() == right.get_ylim()
    assert [left.get_title(), right.get_title()] == ["without", "with"]


def lines(axes: Any, colour: str, style: str = "-") -> list[Any]:
    return [line for line in axes.lines if (line.get_color(), line.get_linestyle()) == (colour, style)]


def test_a_smoothed_curve_stands_where_the_curve_is(solutions: SimpleNamespace) -> None:
    """A step in the losses is at the same iteration in the running mean: it is centred, and does not lag."""
    draw = solutions.figures
    step = [1.0] * 100 + [0.0] * 100
    figure = draw.loss_curves({"loss": step}, "title", smoothing=20)
    (axes,) = figure.axes
    pale, dark = lines(axes, draw.COLOURS["auto-encoder"])
    assert list(pale.get_ydata()) == step
    (middle,) = [x for x, y in zip(dark.get_xdata(), dark.get_ydata(), strict=True) if abs(y - 0.5) < 1e-9]
    assert middle == 99.5
    assert figure.get_supxlabel() == "pale: each iteration; dark: centred moving mean over 20"


def test_the_numbers_of_iterations_do_not_touch(solutions: SimpleNamespace) -> None:
    """Also of 20 epochs of MNIST, in every panel of every figure of losses."""
    draw, values = solutions.figures, [1.0] * 18_740
    both = (values, values)
    for figure in (
        draw.loss_curves({"rec_loss": values, "kl_loss": values}, "title"),
        draw.gan_losses(values, values),
        draw.compared_gan_losses({"a": both, "b": both}),
    ):
        FigureCanvasAgg(figure).draw()
        for axes in figure.axes:
            low, high = axes.get_xlim()
            shown = [
                tick.label1.get_window_extent()
                for tick in axes.xaxis.get_major_ticks()
                if low <= tick.get_loc() <= high
            ]
            assert len(shown) >= 3
            assert all(left.x1 + 4 < right.x0 for left, right in itertools.pairwise(shown))


def test_every_model_has_its_own_colour_in_all_curves(solutions: SimpleNamespace) -> None:
    draw, values = solutions.figures, [2.0, 1.0, 1.0]
    assert len({*draw.COLOURS.values(), draw.ORIGINAL}) == len(draw.COLOURS) + 1
    for model in ("auto-encoder", "VAE", "CVAE"):
        panels = draw.loss_curves({"rec_loss": values, "kl_loss": values}, "title", model=model).axes
        assert {line.get_color() for axes in panels for line in axes.lines} == {draw.COLOURS[model]}
    for figure in (
        draw.gan_losses(values, values),
        draw.compared_gan_losses({"a": (values, values), "b": (values, values)}),
    ):
        for axes in figure.axes:
            dashes = set()
            for name in ("discriminator", "generator"):
                _, dark = [
                    line
                    for line in axes.lines
                    if line.get_color() == draw.COLOURS[name] and line.get_linestyle() != ":"
                ]
                assert dark.get_label() == name
                dashes.add(dark.get_linestyle())
            assert len(dashes) == 2, "in print without colours, they differ as well"


def test_the_dotted_lines_of_the_gan_losses_have_a_legend_and_their_values(
    solutions: SimpleNamespace,
) -> None:
    draw = solutions.figures
    figure = draw.compared_gan_losses({"a": ([1.0, 0.5], [2.0, 2.5]), "b": ([1.0, 0.5], [2.0, 2.5])})
    (legend,) = figure.legends
    shown = {
        text.get_text(): line.get_linestyle()
        for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
    }
    dotted = {text for text, style in shown.items() if style == ":"}
    assert {"discriminator", "generator"} == set(shown) - dotted
    for axes in figure.axes:
        levels = {
            line.get_label(): float(line.get_ydata()[0]) for line in axes.lines if line.get_linestyle() == ":"
        }
        assert set(levels) == dotted
        (own,) = [value for label, value in levels.items() if label.startswith("discriminator's loss")]
        (against,) = [value for label, value in levels.items() if label.startswith("generator's loss")]
        # What cross-entropy gives for a logit of 0, once for each kind of image.
        guess = torch.nn.functional.binary_cross_entropy_with_logits(torch.zeros(1), torch.ones(1)).item()
        assert (own, against) == (pytest.approx(2 * guess), pytest.approx(guess))


def test_axes_of_curves_have_labels_with_units(solutions: SimpleNamespace) -> None:
    draw = solutions.figures
    losses = [1.0, 2.0]
    for figure, units in (
        (
            draw.loss_curves({"rec_loss": losses, "kl_loss": losses}, "t"),
            ["nats per pixel", "nats per latent dimension"],
        ),
        (draw.loss_curves({"reconstruction": losses}, "t"), ["nats per pixel"]),
        (draw.gan_losses(losses, losses), ["nats, mean over the batch"]),
    ):
        assert [axes.get_xlabel() for axes in figure.axes] == ["iteration"] * len(units)
        assert [axes.get_ylabel() for axes in figure.axes] == units


def test_the_legend_of_compared_runs_says_once_what_pale_and_dark_are(solutions: SimpleNamespace) -> None:
    """The mean is over the same number of iterations in both panels, also when one run is shorter."""
    runs = {"a": ([1.0] * 500, [2.0] * 500), "b": ([1.0] * 50, [2.0] * 50)}
    figure = solutions.figures.compared_gan_losses(runs, smoothing=100)
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "pale: each iteration; dark: centred moving mean over 10"
    dark = [line for axes in figure.axes for line in axes.lines if line.get_label() == "generator"]
    assert [len(line.get_xdata()) for line in dark] == [491, 41]


def test_functions_have_the_colour_of_their_model_and_their_own_lines(solutions: SimpleNamespace) -> None:
    draw, x = solutions.figures, torch.arange(3.0)
    for model in ("generator", "VAE"):
        (axes,) = draw.functions(x, {"f": x, "g": -x, "h": x**2}, "three", model=model).axes
        assert {line.get_color() for line in axes.lines} == {draw.COLOURS[model]}
        assert len({line.get_linestyle() for line in axes.lines}) == 3


def test_a_notebook_gets_the_description_of_a_figure_as_alternative_text(solutions: SimpleNamespace) -> None:
    from IPython.core.formatters import DisplayFormatter

    draw = solutions.figures
    figure = draw.loss_curves({"kl_loss": [4.0, 2.0, 0.25]}, 'VAE on "MNIST"', model="VAE")
    shown, _ = DisplayFormatter().format(figure)
    assert (
        'alt="VAE on &quot;MNIST&quot;. kl_loss: from 4 to 2.08 in 3 iterations (the mean of the last 3)"'
        in shown["text/html"]
    )
    assert f"base64,{shown['image/png']}" in shown["text/html"]
    assert base64.b64decode(shown["image/png"]).startswith(b"\x89PNG")
