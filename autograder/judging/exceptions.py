"""What the usual exceptions of beginners' Python and PyTorch mean, and what to do about them.

Recognised by type and message alone, which are untrusted text of the submission. Mistakes of the assignment are named by its
own catalogue, which comes first; these have no ids, since what they say of the answer is only that it raised.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """What an exception means in one sentence, and what to try."""

    sentence: str
    hint: str


@dataclass(frozen=True)
class Usual:
    """A usual exception. pattern: searched in "Type: message"; its named groups fill the sentence and the hint."""

    pattern: str
    sentence: str
    hint: str

    def meaning(self, text: str) -> Meaning | None:
        found = re.search(self.pattern, text, re.DOTALL)
        if found is None:
            return None
        groups = {name: value or "" for name, value in found.groupdict().items()}
        return Meaning(self.sentence.format(**groups), self.hint.format(**groups))


USUAL = (
    # Python's own.
    Usual(
        r"^NameError: name '(?P<name>\w+)' is not defined",
        "The name {name} is used and not defined anywhere.",
        "Look for a typing error, a missing import, or a missing `self.` before it.",
    ),
    Usual(
        r"^UnboundLocalError: .*'(?P<name>\w+)'",
        "The variable {name} is used before it has a value in this function.",
        "Assign it on every path; a name that is assigned anywhere in a function is local to it.",
    ),
    Usual(
        r"^TypeError: .*(?P<name>\b\w+)\(\) takes (?P<most>\d+) positional arguments? but (?P<given>\d+) (was|were) given",
        "{name} takes {most} arguments and was called with {given}; a method's object counts as one.",
        "Compare the call with the definition. Is `self` the first parameter of the method?",
    ),
    Usual(
        r"^TypeError: .*(?P<name>\b\w+)\(\) missing \d+ required positional arguments?: (?P<missing>.+)",
        "{name} was called without {missing}.",
        "Compare the call with the definition. A method is called on an object: self.method(...), not Class.method(...).",
    ),
    Usual(
        r"^TypeError: .*(?P<name>\b\w+)\(\) got an unexpected keyword argument '(?P<keyword>\w+)'",
        "{name} has no parameter {keyword}.",
        "Compare the call with the definition.",
    ),
    Usual(
        r"^AttributeError: (cannot assign module before Module\.__init__|.* has no attribute '_(modules|parameters|buffers)')",
        "The class is an nn.Module whose own constructor was not called.",
        "Begin __init__ with super().__init__().",
    ),
    Usual(
        r"^(TypeError|AttributeError): .*'?NoneType'?",
        "Something is None that should be a value.",
        "A function without a return statement returns None; so do methods that change an object in place.",
    ),
    Usual(
        r"^AttributeError: module '(?P<owner>[\w.]+)' has no attribute '(?P<name>\w+)'",
        "{owner} has no function or class {name}.",
        "Look it up in the documentation: it may have another name, or be elsewhere.",
    ),
    Usual(
        r"^AttributeError: '(?P<owner>tuple|list|dict)' object has no attribute '(?P<name>\w+)'",
        "A {owner} is used as if it were one of its values: it has no {name}.",
        "Take it apart first: where a function returns two values, write `first, second = function(...)`.",
    ),
    Usual(
        r"^AttributeError: '(?P<owner>\w+)' object has no attribute '(?P<name>\w+)'",
        "{owner} has no attribute {name} when it is asked for.",
        "Look for a typing error, or an attribute that __init__ does not set.",
    ),
    Usual(
        r"^TypeError: (?P<name>[\w.]+\.)?(?P<layer>\w+) is not a Module subclass",
        "{layer} is a class where one of its objects is needed, or no layer at all.",
        "Make a layer of it with parentheses: {layer}().",
    ),
    Usual(
        r"^TypeError: (?P<name>\w+)\(\) received an invalid combination of arguments - got \((?P<given>[^)]*)\)",
        "{name} does not take arguments of these types: {given}.",
        "Compare the call with the documentation. Is a tensor given where a number is asked, or the other way round?",
    ),
    Usual(
        r"^TypeError: 'module' object is not callable",
        "A module is called as if it were a function or class.",
        "Import the function or class from it, or write module.name(...).",
    ),
    Usual(
        r"^KeyError: (?P<key>.+)",
        "A dictionary has no entry {key}.",
        "Compare the key with those that were stored.",
    ),
    Usual(
        r"Module \[(?P<name>\w+)\] is missing the required \"forward\"",
        "The class {name} has no method called forward.",
        "Look for a typing error in its name, or for a def that does not stand inside the class.",
    ),
    Usual(
        r"^EOFError",
        "input() waits for the keyboard, and nobody types during a check.",
        "Take the value from the arguments.",
    ),
    Usual(r"^BdbQuit", "The debugger was started.", "Remove breakpoint() or pdb.set_trace()."),
    Usual(
        r"^RecursionError",
        "A function calls itself without end.",
        "A method that calls itself, or a property that reads itself, never returns.",
    ),
    Usual(
        r"^TypeError: iteration over a 0-d tensor",
        "A single number is taken apart as if it were several values.",
        "Something that returns one tensor is unpacked into two: compare what is returned with what is asked.",
    ),
    Usual(
        r"^(ValueError: (not enough|too many) values to unpack|TypeError: cannot unpack non-iterable)",
        "A value is unpacked into the wrong number of names.",
        "Compare what is returned with the names on the left of the assignment.",
    ),
    # PyTorch's: devices.
    Usual(
        r"(Found no NVIDIA driver|not compiled with CUDA|No CUDA GPUs are available|CUDA driver)",
        "The code asks for a GPU, and this machine has none.",
        "Put tensors on the model's device (x.device, next(model.parameters()).device) instead of calling .cuda().",
    ),
    Usual(
        r"Expected all tensors to be on the same device",
        "Tensors of two devices are combined.",
        "Make every new tensor on the device of the model's parameters.",
    ),
    # Shapes.
    Usual(
        r"mat1 and mat2 shapes cannot be multiplied \((?P<rows>\d+)x(?P<given>\d+) and (?P<takes>\d+)x\d+\)",
        "A linear layer that takes {takes} numbers was given rows of {given}.",
        "Compare the last axis of what goes in with the layer's first argument; print x.shape before the line.",
    ),
    Usual(
        r"Sizes of tensors must match except in dimension (?P<axis>\d+)",
        "Tensors are joined along axis {axis}, and another axis differs.",
        "Choose the axis of torch.cat so that all others agree: dim=-1 is the last one.",
    ),
    Usual(
        r"(Tensors must have same number of dimensions|number of dimensions.* must match)",
        "Tensors with different numbers of axes are joined.",
        "unsqueeze(1) adds a middle axis, flatten(1) removes it.",
    ),
    Usual(
        r"The size of tensor a \((?P<a>\d+)\) must match the size of tensor b \((?P<b>\d+)\) at non-singleton "
        r"dimension (?P<axis>\d+)",
        "Two tensors are combined element by element, and they have {a} and {b} entries on axis {axis}.",
        "Print both shapes before the line; bring one to the shape of the other.",
    ),
    Usual(
        r"shape '(?P<shape>[^']+)' is invalid for input of size (?P<size>\d+)",
        "A tensor of {size} numbers does not fit the shape {shape}.",
        "Take sizes from the tensor itself: x.shape[0], or -1 for one axis.",
    ),
    Usual(
        r"Using a target size \(.*\) that is different to the input size",
        "The loss was given a target whose shape differs from the prediction's.",
        "Bring the target to the prediction's shape: target.reshape(prediction.shape).",
    ),
    Usual(
        r"Dimension out of range",
        "An axis is asked for that the tensor does not have.",
        "Print its shape before the line; negative axes count from the end.",
    ),
    # Gradients.
    Usual(
        r"a (leaf Variable that requires grad|view of a leaf Variable that requires grad) is being used in an in-place operation",
        "A tensor that gradients are asked for is changed in place.",
        "Compute a new tensor (x = x + 1, not x += 1), or change it under torch.no_grad().",
    ),
    Usual(
        r"(modified by an inplace operation|is being modified inplace)",
        "A tensor that the backward pass needs was changed in place.",
        "Use the forms without an underscore (exp, not exp_), and optimiser steps after the backward pass.",
    ),
    Usual(
        r"element 0 of tensors does not require grad",
        "backward() is called on a value without a graph.",
        "Look for no_grad(), detach(), item() or .data between the parameters and the loss.",
    ),
    Usual(
        r"One of the differentiated Tensors (does not require grad|appears to not have been used)",
        "The gradient is asked for with respect to a tensor that has none, or that the result does not depend on.",
        "Make the tensor with requires_grad=True, and compute the result from it.",
    ),
    Usual(
        r"need float labels of the same shape; these labels have shape .* and type torch\.(int|long|uint|bool)",
        "The labels are not floats.",
        "Make them like the logits: ones_like(logits), zeros_like(logits).",
    ),
    Usual(
        r"Trying to backward through the graph a second time",
        "backward() runs twice through one graph.",
        "Run the forward pass again, detach what the second pass need not change, or add the losses and call backward() once.",
    ),
    Usual(
        r"grad can be implicitly created only for scalar outputs",
        "backward() is called on a tensor of several numbers.",
        "Reduce the loss to one number first.",
    ),
    Usual(
        r"(Can't call numpy\(\) on Tensor that requires grad|can't convert cuda:?\d* device type tensor to numpy)",
        "A tensor with a graph, or on a GPU, is turned into a NumPy array.",
        "Use x.detach().cpu().numpy(), or stay in PyTorch.",
    ),
    # Types.
    Usual(
        r"(expected scalar type|m\w*1 and m\w*2 (to|must) have the same dtype|should be the same|Found dtype|expected .* but "
        r"found)",
        "Tensors of two types are combined.",
        "Convert one of them: .float() for float32, .long() for labels.",
    ),
    Usual(
        r"result type \w+ can't be cast to the desired output type",
        "The result of an operation in place does not fit the tensor's type.",
        "Write x = x + y in place of x += y, or convert first.",
    ),
    Usual(
        r"(Class values must be|index out of bounds|index \d+ is out of bounds|index out of range)",
        "An index is larger than the axis that it selects from.",
        "Indices run from 0 to the size less one.",
    ),
)

AT_IMPORT = (
    Usual(
        r"^ModuleNotFoundError: No module named '(?P<package>assignment|solutions|src)\b",
        "The module imports others from a folder.",
        "Submitted modules lie next to each other: write `from module import name`, not `from {package}.module import name`.",
    ),
    Usual(
        r"^ImportError: (cannot import name '(?P<name>\w+)'|attempted relative import)",
        "A name is imported that the other module does not have, or with a leading dot.",
        "Compare the name with the other file; submitted modules import each other without dots.",
    ),
    Usual(
        r"^FileNotFoundError: .*'(?P<file>[^']+)'",
        "The file {file} is read while the module is imported, and it is not there when the work is graded.",
        "Move what loads data and trains under `if __name__ == '__main__':`.",
    ),
    Usual(
        r"^NameError: name 'get_ipython'",
        "get_ipython exists only in notebooks.",
        "Remove the line: a module is plain Python.",
    ),
    Usual(
        r"^NameError: name '(?P<name>null|true|false)'",
        "Python writes None, True and False; a file with {name} may hold a notebook, and not Python.",
        "If it does, copy the code of its cells into it.",
    ),
    Usual(
        r"^(DataUnavailable|URLError|HTTPError|ConnectionError|gaierror)",
        "Data is loaded while the module is imported, and there is no network when the work is graded.",
        "Move what loads data and trains under `if __name__ == '__main__':`.",
    ),
    Usual(
        r"Cannot load backend '(?P<name>\w+)'",
        "A window is opened for a figure, and checks have no screen.",
        "Remove matplotlib.use(...), and draw figures in the notebook.",
    ),
    *USUAL,
)


def explain(type_: str, message: str, usual: tuple[Usual, ...] = USUAL) -> Meaning | None:
    """What an exception means, if it is one of the usual ones. The first that fits counts."""
    text = f"{type_}: {message}"
    meanings = (kind.meaning(text) for kind in usual)
    return next((meaning for meaning in meanings if meaning is not None), None)
