"""Linear layers through oneDNN: values and gradients of the framework's own in float64, and nothing left behind."""

import copy

import pytest
import torch

from pipeline.models.onednn_linear import linears_for_training, onednn_linears
from tests.support.builders import CPU, random_classifier

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this build of torch has no oneDNN")


def gradients(module, inputs, upstream):
    """Output, and the gradients of the input and of every weight, for the gradient `upstream` of the output."""
    inputs = inputs.clone().requires_grad_()
    output = module(inputs)
    output.backward(upstream)
    return [output.detach(), inputs.grad, *(weight.grad for weight in module.parameters())]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("rows", "size", "outputs"), [((7,), 12, 5), ((3, 5), 8, 24), ((2, 3, 4), 16, 16), ((1,), 3, 1)]
)
def test_outputs_and_gradients_are_those_of_float64(rows, size, outputs, bias):
    torch.manual_seed(0)
    linear = torch.nn.Linear(size, outputs, bias=bias)
    inputs, upstream = torch.randn(*rows, size), torch.randn(*rows, outputs)
    expected = gradients(copy.deepcopy(linear).double(), inputs.double(), upstream.double())
    with onednn_linears(linear):
        actual = gradients(linear, inputs, upstream)
    for mine, exact in zip(actual, expected, strict=True):
        torch.testing.assert_close(mine, exact.float(), rtol=1e-5, atol=1e-5)


def test_a_gradient_that_is_not_contiguous():
    """The upstream gradient of a sum is expanded from one number, that of a transposed output is strided."""
    torch.manual_seed(0)
    linear = torch.nn.Linear(6, 4)
    inputs = torch.randn(3, 5, 6)
    double = copy.deepcopy(linear).double()
    (double(inputs.double()).sum() + double(inputs.double()).mT.exp().sum()).backward()
    with onednn_linears(linear):
        (linear(inputs).sum() + linear(inputs).mT.exp().sum()).backward()
    torch.testing.assert_close(linear.weight.grad, double.weight.grad.float(), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(linear.bias.grad, double.bias.grad.float(), rtol=1e-5, atol=1e-4)


def test_inputs_whose_rows_lie_apart():
    """A pooler reads the first token of each pair, [pair, hidden] with the stride of a whole pair."""
    torch.manual_seed(0)
    linear, hidden = torch.nn.Linear(6, 4), torch.randn(3, 5, 6)
    double = copy.deepcopy(linear).double()
    expected = gradients(double, hidden.double()[:, 0], torch.ones(3, 4, dtype=torch.float64))
    first = hidden.requires_grad_()[:, 0]
    with onednn_linears(linear):
        output = linear(first)
        output.sum().backward()
    actual = [output.detach(), hidden.grad[:, 0], linear.weight.grad, linear.bias.grad]
    for mine, exact in zip(actual, expected, strict=True):
        torch.testing.assert_close(mine, exact.float(), rtol=1e-5, atol=1e-5)


def test_a_classifier_trains_as_with_the_frameworks_own_and_is_itself_again_afterwards():
    model, own = random_classifier("bert"), random_classifier("bert")
    names = {name: list(vars(module)) for name, module in model.named_modules()}
    ids, grades = torch.arange(4, 24).view(2, 10), torch.tensor([1, 3])
    own(input_ids=ids, labels=grades).loss.backward()
    with onednn_linears(model):
        model(input_ids=ids, labels=grades).loss.backward()
    with pytest.raises(TypeError), onednn_linears(model):
        model(None, None, None, None, None, None, None, None, None)
    assert {name: list(vars(module)) for name, module in model.named_modules()} == names
    for (name, weight), other in zip(model.named_parameters(), own.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, other.grad, rtol=1e-4, atol=1e-5, msg=name)
    assert torch.equal(model(input_ids=ids).logits, own(input_ids=ids).logits)


def test_only_where_it_is_faster(monkeypatch):
    linear = torch.nn.Linear(2, 2)
    for name, device, replaced in (("AMD EPYC", CPU, True), ("Intel Xeon", CPU, False), ("AMD", "cuda", False)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda name=name: {"cpu_name": name})
        monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
        with linears_for_training(linear, torch.device(device)):
            assert ("forward" in vars(linear)) == replaced
