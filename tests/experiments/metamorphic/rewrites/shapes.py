"""Halves of q, flattening, axes, and where a graph is cut off."""

from __future__ import annotations

from tests.experiments.metamorphic.patterns import Rule
from tests.experiments.metamorphic.rewriting import Rewrite, by_rules

HALVES = ("Q_.chunk(2, dim=-1)", "Q_.tensor_split(2, dim=-1)")
FLAT = "X_.flatten(1).unsqueeze(1)"
SHOWING = r".*(reconstruct|sample_images|sample_conditional|generate|interpolate)"


def _each(finds: tuple[str, ...], replace: str) -> list[Rule]:
    return [Rule(find, replace) for find in finds]


REWRITES: tuple[Rewrite, ...] = (
    by_rules(
        "halves-by-tensor-split",
        "torch.tensor_split halves q.",
        *_each(HALVES, "torch.tensor_split(Q_, 2, dim=-1)"),
    ),
    by_rules("halves-by-chunk", "torch.chunk halves q.", *_each(HALVES, "torch.chunk(Q_, 2, -1)")),
    by_rules(
        "halves-by-slices",
        "Slices halve q.",
        *_each(HALVES, "(Q_[..., :Q_.shape[-1] // 2], Q_[..., Q_.shape[-1] // 2:])"),
    ),
    by_rules("halves-by-split", "split halves q.", *_each(HALVES, "Q_.split(Q_.size(-1) // 2, -1)")),
    by_rules(
        "halves-by-unbind",
        "q gets an axis of two and is unbound.",
        *_each(HALVES, "Q_.unflatten(-1, (2, -1)).unbind(dim=-2)"),
    ),
    by_rules(
        "halves-by-narrow",
        "narrow cuts the halves out of q.",
        *_each(HALVES, "[Q_.narrow(-1, i * (Q_.shape[-1] // 2), Q_.shape[-1] // 2) for i in (0, 1)]"),
    ),
    by_rules(
        "halves-by-movedim",
        "q gets an axis of two, which is moved to the front.",
        *_each(HALVES, "Q_.reshape(*Q_.shape[:-1], 2, -1).movedim(-2, 0)"),
    ),
    by_rules(
        "halves-by-stacked-slices",
        "Slices with a step replace other slices.",
        Rule("Q_[:, :N_]", "Q_.narrow(1, 0, N_)"),
        Rule("Q_[:, N_:]", "Q_.narrow(1, N_, Q_.shape[1] - N_)"),
    ),
    by_rules(
        "flatten-by-reshape",
        "reshape puts images into (N, 1, 784).",
        Rule("I_.to(D_).flatten(1).unsqueeze(1)", "I_.to(D_).reshape(len(I_), 1, -1)"),
        Rule(FLAT, "X_.reshape(X_.shape[0], 1, -1)"),
        Rule("X_.view(X_.size(0), -1)", "X_.reshape(len(X_), -1)"),
    ),
    by_rules(
        "flatten-by-view",
        "view puts images into (N, 1, 784).",
        Rule("I_.to(D_).flatten(1).unsqueeze(1)", "I_.to(D_).view(I_.size(0), 1, 784)", within="train_.*"),
    ),
    by_rules(
        "flatten-and-index",
        "The middle axis comes from an index.",
        Rule("X_.unsqueeze(1)", "X_[:, None]"),
        Rule("X_[:, None]", "X_.unsqueeze(dim=1)", within="(?!.*__init__).*"),
    ),
    by_rules(
        "flatten-as-function",
        "flatten is called as a function.",
        Rule("X_.flatten(1)", "torch.flatten(X_, start_dim=1)"),
        Rule("X_.flatten(start_dim=1)", "torch.flatten(X_, 1)"),
    ),
    by_rules(
        "flatten-to-rows",
        "flatten(1) becomes a reshape.",
        Rule("X_.flatten(1)", "X_.reshape(X_.shape[0], -1)"),
    ),
    by_rules(
        "flatten-by-einops-like-helper",
        "A nested reshape does the same in two steps.",
        Rule("X_.reshape(len(Y_), 28, 28)", "X_.reshape(len(Y_), 784).unflatten(1, (28, 28))"),
        Rule("X_.view(-1, 28, 28)", "X_.view(-1, 784).reshape(-1, 28, 28)"),
        Rule("X_.reshape(-1, 28, 28)", "X_.reshape(-1, 784).view(-1, 28, 28)"),
    ),
    by_rules(
        "reshape-by-numbers",
        "reshape is told its sizes as a tuple.",
        Rule("X_.reshape(N_, 1, 28, 28)", "X_.reshape((N_, 1, 28, 28))"),
        Rule("X_.reshape(N_, 28, 28)", "torch.reshape(X_, (N_, 28, 28))"),
    ),
    by_rules(
        "two-axes-inside",
        "The VAE's encoder is given (N, 784), so that q has two axes.",
        Rule("q = self.encoder(x)", "q = self.encoder(x.flatten(1))", within=r"VAE\.forward"),
        Rule(
            "self.encoder(x).chunk(2, dim=-1)",
            "self.encoder(x.flatten(1)).chunk(2, dim=-1)",
            within=r"VAE\.reconstruct",
        ),
    ),
    by_rules(
        "cat-by-concat",
        "torch.concat joins with a positional axis.",
        Rule("torch.cat(L_, dim=D_)", "torch.concat(L_, D_)"),
        Rule("torch.cat(L_, D_)", "torch.concatenate(L_, dim=D_)"),
    ),
    by_rules(
        "cat-as-tuple",
        "cat is given a tuple.",
        Rule("torch.cat([A_, B_], dim=D_)", "torch.cat((A_, B_), dim=D_)"),
    ),
    by_rules(
        "no-grad-by-inference-mode",
        "inference_mode takes the place of no_grad.",
        Rule("torch.no_grad()", "torch.inference_mode()", within=SHOWING),
    ),
    by_rules(
        "no-grad-by-switch",
        "set_grad_enabled takes the place of no_grad.",
        Rule("torch.no_grad()", "torch.set_grad_enabled(False)", within=SHOWING),
        Rule("torch.inference_mode()", "torch.set_grad_enabled(mode=False)", within=SHOWING),
    ),
    by_rules(
        "no-grad-by-detach",
        "The result is detached instead of computed without a graph.",
        Rule("with torch.no_grad():\n    return R_", "return R_.detach()", within=SHOWING),
        Rule(
            "with torch.no_grad():\n    A_ = B_\n    return R_", "A_ = B_\nreturn R_.detach()", within=SHOWING
        ),
    ),
    by_rules(
        "no-grad-by-hand",
        "Gradients are switched off and on by hand.",
        Rule(
            "with torch.no_grad():\n    A_ = B_\n    return R_",
            "recording = torch.is_grad_enabled()\ntorch.set_grad_enabled(False)\ntry:\n    A_ = B_\n    return R_\n"
            "finally:\n    torch.set_grad_enabled(recording)",
            within=SHOWING,
        ),
    ),
    by_rules(
        "no-grad-wraps-less",
        "Only the last call is made without a graph.",
        Rule(
            "with torch.no_grad():\n    A_ = B_\n    return R_",
            "A_ = B_\nwith torch.no_grad():\n    return R_",
            within="sample_.*",
        ),
    ),
    by_rules(
        "move-with-options",
        "Batches are moved with more options.",
        Rule("I_.to(device)", "I_.to(device=device, non_blocking=True)", within="(train_|sample_).*"),
    ),
    by_rules(
        "length-by-size",
        "The batch size is read from size().",
        Rule("len(x)", "x.size(0)"),
        Rule("len(real)", "real.shape[0]"),
        Rule("len(labels)", "labels.shape[0]", within="sample_conditional"),
        Rule("len(codes)", "codes.shape[0]"),
    ),
)
