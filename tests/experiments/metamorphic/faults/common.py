"""Faults that occur in several functions: training loops, sampling."""

from __future__ import annotations

from tests.experiments.metamorphic.inserting import Change, Fault, by_rules, either, first, result

UNIFORM = (
    ("torch.randn(*ARGS_, **KW_)", "torch.rand(*ARGS_, **KW_)"),
    ("torch.randn_like(M_)", "torch.rand_like(M_)"),
    ("X_.normal_(0, 1)", "X_.uniform_(0, 1)"),
    ("X_.normal_()", "X_.uniform_()"),
    ("torch.normal(0.0, 1.0, S_, **KW_)", "torch.rand(S_, **KW_)"),
    ("np.random.standard_normal(S_)", "np.random.uniform(size=S_)"),
    ("torch.distributions.Normal(*ARGS_)", "torch.distributions.Uniform(*ARGS_)"),
    ("Normal(*ARGS_)", "Uniform(*ARGS_)"),
    ("partial(torch.randn, **KW_)", "partial(torch.rand, **KW_)"),
)
WITH_GRAPH = (
    ("torch.no_grad()", "torch.enable_grad()"),
    ("torch.inference_mode()", "torch.enable_grad()"),
    ("torch.set_grad_enabled(False)", "torch.set_grad_enabled(True)"),
    ("torch.set_grad_enabled(mode=False)", "torch.set_grad_enabled(mode=True)"),
    ("X_.detach()", "X_"),
)


def not_cleared(function: str, file: str) -> Change:
    """Gradients add up over the batches."""
    return either(
        by_rules(
            ("O_.zero_grad();", "pass"),
            ("O_.zero_grad(set_to_none=False);", "pass"),
            ("p.grad = None", "pass"),
            within=function,
            file=file,
        )
    )


def loops(function: str, module: str, question: str, prefix: str) -> list[Fault]:
    """What may be wrong in a training loop."""
    file = f"{module}.py"
    evaluation = (
        ("model.train();", "model.eval();"),
        ("model.train()", "model.eval()"),
        ("model.train(True)", "model.train(False)"),
    )
    return [
        Fault(
            f"{prefix}-rate-left-out",
            question,
            "The learning rate is ignored.",
            file,
            first("A4 = 0.001", function, file),
        ),
        Fault(
            f"{prefix}-rate-doubled",
            question,
            "The learning rate is doubled.",
            file,
            first("A4 = 2 * A4", function, file),
        ),
        Fault(
            f"{prefix}-one-epoch",
            question,
            "The number of epochs is ignored.",
            file,
            first("A3 = 1", function, file),
        ),
        Fault(
            f"{prefix}-not-cleared",
            question,
            "Gradients add up over the batches.",
            file,
            not_cleared(function, file),
        ),
        Fault(
            f"{prefix}-in-evaluation-mode",
            question,
            "The model is in evaluation mode.",
            file,
            by_rules(*evaluation, within=function, file=file),
        ),
        Fault(
            f"{prefix}-every-entry-twice",
            question,
            "Every entry of the history is there twice.",
            file,
            result(
                "[v for v in RESULT for _ in '12'] if isinstance(RESULT, list) "
                "else {k: [v for v in h for _ in '12'] for k, h in RESULT.items()}",
                function,
                file,
            ),
        ),
        Fault(
            f"{prefix}-without-last-entry",
            question,
            "The history lacks its last entry.",
            file,
            result(
                "RESULT[:-1] if isinstance(RESULT, list) else {k: h[:-1] for k, h in RESULT.items()}",
                function,
                file,
            ),
        ),
    ]
