"""Where noise comes from, and how a code is made of it."""

from __future__ import annotations

from tests.experiments.metamorphic.patterns import Rule
from tests.experiments.metamorphic.rewriting import Rewrite, by_rules

LIKE = "torch.randn_like(M_)"
PAIR = "torch.randn(A_, B_, device=D_)"
TYPED = "torch.randn(A_, B_, device=D_, dtype=T_)"

REWRITES: tuple[Rewrite, ...] = (
    by_rules(
        "noise-in-place",
        "normal_ fills an empty tensor.",
        (LIKE, "torch.empty_like(M_).normal_()"),
        (PAIR, "torch.empty(A_, B_, device=D_).normal_()"),
        (TYPED, "torch.empty(A_, B_, device=D_, dtype=T_).normal_()"),
    ),
    by_rules(
        "noise-by-normal",
        "torch.normal draws the noise.",
        (LIKE, "torch.normal(torch.zeros_like(M_), torch.ones_like(M_))"),
        (PAIR, "torch.normal(0.0, 1.0, (A_, B_), device=D_)"),
        (TYPED, "torch.normal(0.0, 1.0, (A_, B_), device=D_, dtype=T_)"),
    ),
    by_rules(
        "noise-by-distribution",
        "torch.distributions draws the noise.",
        (LIKE, "torch.distributions.Normal(torch.zeros_like(M_), torch.ones_like(M_)).sample()"),
        (PAIR, "torch.distributions.Normal(0.0, 1.0).sample((A_, B_)).to(D_)"),
        (TYPED, "torch.distributions.Normal(0.0, 1.0).sample((A_, B_)).to(device=D_, dtype=T_)"),
    ),
    by_rules(
        "noise-by-numpy",
        "NumPy draws the noise.",
        (LIKE, "torch.from_numpy(np.random.standard_normal(tuple(M_.shape))).to(M_)"),
        (PAIR, "torch.from_numpy(np.random.standard_normal((A_, B_))).float().to(D_)"),
        (TYPED, "torch.from_numpy(np.random.standard_normal((A_, B_))).to(device=D_, dtype=T_)"),
        needs=["import numpy as np"],
    ),
    by_rules(
        "noise-by-shape",
        "randn is told the shape, device and type.",
        (LIKE, "torch.randn(M_.shape, device=M_.device, dtype=M_.dtype)"),
        (PAIR, "torch.randn((A_, B_), device=D_)"),
        (TYPED, "torch.randn(size=(A_, B_), dtype=T_, device=D_)"),
    ),
    by_rules(
        "noise-with-middle-axis",
        "Codes are drawn with a middle axis, which is removed.",
        (PAIR, "torch.randn(A_, 1, B_, device=D_).squeeze(1)"),
        (TYPED, "torch.randn(A_, 1, B_, device=D_, dtype=T_)[:, 0]"),
    ),
    by_rules(
        "noise-transposed-twice",
        "Codes are drawn flat and given their shape.",
        (PAIR, "torch.randn(A_ * B_, device=D_).view(A_, B_)"),
        (TYPED, "torch.randn(A_ * B_, device=D_, dtype=T_).reshape(A_, B_)"),
    ),
    by_rules(
        "noise-multiplied-in-place",
        "The noise is scaled in place.",
        ("M_ + torch.exp(L_) * torch.randn_like(M_)", "torch.randn_like(M_).mul(L_.exp()).add(M_)"),
        ("M_ + torch.exp(L_) * E_", "E_.mul(torch.exp(L_)).add(M_)"),
        ("E_ * S_ + mu", "E_.mul(S_).add(mu)"),
    ),
    by_rules(
        "code-by-rsample",
        "rsample draws the code.",
        Rule(
            "return M_ + torch.exp(L_) * E_",
            "return torch.distributions.Normal(M_, torch.exp(L_)).rsample()",
            within=r"CVAE\.reparameterize",
        ),
        Rule(
            "eps = torch.randn_like(mu)\nreturn mu + torch.exp(log_sigma) * eps",
            "q = torch.distributions.Normal(mu, log_sigma.exp())\nreturn q.rsample()",
        ),
        Rule("eps = N_\nreturn eps * sigma + mu", "return torch.distributions.Normal(mu, sigma).rsample()"),
    ),
    by_rules(
        "code-by-addcmul",
        "addcmul makes the code.",
        ("M_ + torch.exp(L_) * E_", "torch.addcmul(M_, torch.exp(L_), E_)"),
        ("eps * sigma + mu", "torch.addcmul(mu, eps, sigma)"),
        ("mu + log_sigma.exp() * E_", "torch.addcmul(mu, E_, log_sigma.exp())"),
        ("torch.addcmul(A_, B_, C_)", "A_ + B_ * C_"),
    ),
    by_rules("exponent-by-method", "exp is called as a method.", ("torch.exp(L_)", "L_.exp()")),
    by_rules("exponent-as-product", "exp(2 x) is a square.", ("torch.exp(2 * L_)", "torch.exp(L_).square()")),
    by_rules(
        "exponent-by-exp2",
        "The exponential has the base two.",
        ("torch.exp(L_)", "torch.exp2(L_ / math.log(2))"),
        needs=["import math"],
    ),
    by_rules(
        "exponent-in-place",
        "exp changes a copy in place.",
        ("torch.exp(L_)", "L_.clone().exp_()"),
        ("L_.exp()", "(L_ + 0).exp_()"),
    ),
    by_rules(
        "noise-with-own-generator",
        "A generator object, seeded by PyTorch's own, draws the noise.",
        (LIKE, "torch.randn(M_.shape, generator=torch.default_generator).to(M_)"),
    ),
    by_rules(
        "prior-by-shape",
        "The prior's tensors are made by shape.",
        Rule(
            "torch.zeros_like(M_)",
            "torch.zeros(M_.shape, device=M_.device, dtype=M_.dtype)",
            within=r".*\.loss|.*reparameterize",
        ),
        Rule("torch.zeros_like(M_)", "M_.new_zeros(M_.shape)", within="kl_.*"),
    ),
    by_rules(
        "prior-by-product",
        "The prior's tensors are products with zero.",
        Rule("torch.zeros_like(M_)", "(M_ * 0).detach()", within=r".*\.loss"),
    ),
    by_rules(
        "prior-as-number",
        "The prior is a 0-dim tensor that is broadcast.",
        Rule(
            "torch.zeros_like(M_)", "torch.tensor(0.0, device=M_.device, dtype=M_.dtype)", within=r".*\.loss"
        ),
    ),
)
