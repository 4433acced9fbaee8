"""Cross-entropy, squared error, the KL divergence and the total, in their many forms."""

from __future__ import annotations

from tests.experiments.metamorphic.patterns import Rule
from tests.experiments.metamorphic.rewriting import Rewrite, by_rules

BCE = "F.binary_cross_entropy(P_, T_)"
LOGITS = (
    "F.binary_cross_entropy_with_logits(L_, Y_)",
    'nn.functional.binary_cross_entropy_with_logits(L_, Y_, reduction="mean")',
)
KL = "kl_divergence(M_, L_, Z_, Z_).mean()"
MSE = ("F.mse_loss(A_, B_)", 'nn.functional.mse_loss(A_, B_, reduction="mean")')
TOTAL = "R_ + self.beta * K_"


def _logits(replace: str) -> list[Rule]:
    return [Rule(find, replace) for find in LOGITS]


def _squares(replace: str) -> list[Rule]:
    return [Rule(find, replace) for find in MSE]


REWRITES: tuple[Rewrite, ...] = (
    by_rules("bce-module", "BCELoss takes the place of the function.", (BCE, "nn.BCELoss()(P_, T_)")),
    by_rules(
        "bce-by-keywords",
        "The cross-entropy's arguments have names.",
        (BCE, 'F.binary_cross_entropy(target=T_, input=P_, reduction="mean")'),
    ),
    by_rules(
        "bce-mean-apart",
        "The mean of the cross-entropy is taken apart.",
        (BCE, 'F.binary_cross_entropy(P_, T_, reduction="none").mean()'),
    ),
    by_rules(
        "bce-sum-over-count",
        "The sum of the cross-entropy is divided by the number of elements.",
        (BCE, 'F.binary_cross_entropy(P_, T_, reduction="sum").div(P_.numel())'),
    ),
    by_rules(
        "bce-mean-of-means",
        "The mean of every image's mean.",
        (
            BCE,
            "(lambda all: torch.stack([e.mean() for e in (all if all.dim() > 1 else all[None])]).mean())"
            '(F.binary_cross_entropy(P_, T_, reduction="none"))',
        ),
    ),
    by_rules(
        "bce-in-float64",
        "The cross-entropy is computed in float64.",
        (BCE, "F.binary_cross_entropy(P_.double(), T_.double()).to(P_.dtype)"),
    ),
    by_rules(
        "bce-by-hand",
        "The cross-entropy is written with logarithms clamped at -100.",
        (
            BCE,
            "(lambda p, t: -(t * p.log().clamp(min=-100) + (1 - t) * (1 - p).log().clamp(min=-100)).mean())(P_, T_)",
        ),
    ),
    by_rules(
        "logits-module",
        "BCEWithLogitsLoss takes the place of the function.",
        *_logits("nn.BCEWithLogitsLoss()(L_, Y_)"),
    ),
    by_rules(
        "logits-softplus",
        "The loss of logits is written with softplus.",
        *_logits("(F.softplus(L_) - Y_ * L_).mean()"),
        needs=["import torch.nn.functional as F"],
    ),
    by_rules(
        "logits-by-log-sigmoid",
        "The loss of logits is written with logsigmoid.",
        *_logits("-(Y_ * nn.functional.logsigmoid(L_) + (1 - Y_) * nn.functional.logsigmoid(-L_)).mean()"),
    ),
    by_rules(
        "logits-by-maximum",
        "The loss of logits is written with its stable formula.",
        *_logits("(torch.relu(L_) - L_ * Y_ + torch.log1p(torch.exp(-torch.abs(L_)))).mean()"),
    ),
    by_rules(
        "logits-in-float64",
        "The loss of logits is computed in float64.",
        *_logits("nn.functional.binary_cross_entropy_with_logits(L_.double(), Y_.double()).to(L_.dtype)"),
    ),
    by_rules(
        "logits-by-logaddexp",
        "The loss of logits is written with logaddexp.",
        *_logits("(torch.logaddexp(torch.zeros_like(L_), L_) - Y_ * L_).mean()"),
    ),
    by_rules(
        "kl-closed-form",
        "The KL divergence from N(0, I) in closed form.",
        (KL, "(0.5 * (torch.exp(2 * L_) + M_**2 - 1) - L_).mean()"),
        (
            "kl_divergence(M_, L_, torch.zeros_like(M_), torch.zeros_like(M_)).mean()",
            "(0.5 * (M_.square() + torch.exp(2 * L_) - 1) - L_).mean()",
        ),
    ),
    by_rules(
        "kl-usual-formula",
        "The KL divergence as -1/2 (1 + log var - mu^2 - var).",
        (KL, "-0.5 * torch.mean(1 + 2 * L_ - M_.pow(2) - (2 * L_).exp())"),
    ),
    by_rules(
        "kl-by-distributions",
        "torch.distributions computes the KL divergence.",
        (
            KL,
            "torch.distributions.kl_divergence(torch.distributions.Normal(M_, L_.exp()), "
            "torch.distributions.Normal(torch.zeros_like(M_), torch.ones_like(M_))).mean()",
        ),
    ),
    by_rules(
        "kl-mean-of-sums",
        "The KL divergence is summed over the codes' dimensions and divided by their number.",
        (KL, "kl_divergence(M_, L_, Z_, Z_).sum(dim=-1).mean() / M_.shape[-1]"),
    ),
    by_rules(
        "kl-in-float64",
        "The KL divergence is computed in float64.",
        (KL, "kl_divergence(M_.double(), L_.double(), Z_.double(), Z_.double()).mean().to(M_.dtype)"),
    ),
    by_rules(
        "kl-by-keywords",
        "The KL divergence's arguments have names.",
        (KL, "kl_divergence(mu2=Z_, log_sigma2=Z_, mu1=M_, log_sigma1=L_).mean()"),
    ),
    by_rules(
        "mean-as-function",
        "torch.mean takes the mean.",
        Rule("X_.mean()", "torch.mean(X_)", within=r".*loss.*"),
    ),
    by_rules(
        "mean-as-sum",
        "The mean is a sum over a count.",
        Rule(
            "K_.mean()",
            "(lambda e: e.sum() / e.numel())(K_)",
            within=r".*\.(loss|_reconstruction_loss|_classification_loss)",
        ),
    ),
    by_rules("square-by-hand", "The squared error is written out.", *_squares("((A_ - B_) ** 2).mean()")),
    by_rules("square-module", "MSELoss takes the place of the function.", *_squares("nn.MSELoss()(A_, B_)")),
    by_rules(
        "square-by-norm",
        "The squared error is a squared norm over a count.",
        *_squares("torch.linalg.vector_norm(A_ - B_).square() / A_.numel()"),
    ),
    by_rules(
        "square-mean-of-means",
        "The squared error as the mean of every image's.",
        *_squares("(A_ - B_).square().flatten(1).mean(1).mean(0)"),
    ),
    by_rules(
        "square-by-dot",
        "The squared error is a dot product.",
        *_squares("(lambda d: torch.dot(d, d) / len(d))((A_ - B_).reshape(-1))"),
        ("(diff * diff).mean()", "diff.square().mean()"),
        ('F.mse_loss(A_, B_, reduction="sum") / B_.numel()', "F.mse_loss(B_, A_)"),
    ),
    by_rules(
        "total-by-add",
        "torch.add makes the total.",
        (TOTAL, "torch.add(R_, K_, alpha=self.beta)"),
        ('L_["rec_loss"] + self.beta * L_["kl_loss"]', 'L_["kl_loss"] * self.beta + L_["rec_loss"]'),
    ),
    by_rules("total-as-sum", "The total is the sum of a list.", (TOTAL, "sum([R_, self.beta * K_])")),
    by_rules("total-turned-round", "The KL term comes first.", (TOTAL, "K_ * self.beta + R_")),
    by_rules(
        "parts-detached",
        "The parts of the loss are returned detached.",
        Rule(
            "return T_, {'rec_loss': R_, 'kl_loss': K_}",
            "return T_, {'rec_loss': R_.detach(), 'kl_loss': K_.detach()}",
            within=r".*\.loss",
        ),
    ),
    by_rules(
        "parts-by-dict",
        "The parts of the loss come from dict().",
        Rule("{'rec_loss': R_, 'kl_loss': K_}", "dict(kl_loss=K_, rec_loss=R_)", within=r".*\.loss"),
    ),
    by_rules(
        "parts-with-more",
        "loss returns a third part.",
        Rule(
            "{'rec_loss': R_, 'kl_loss': K_}",
            "{'rec_loss': R_, 'kl_loss': K_, 'weight': torch.as_tensor(self.beta)}",
            within=r".*\.loss",
        ),
    ),
)
