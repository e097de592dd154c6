"""The network of a file: what builds its layers, and its weights in them."""

import torch
from sklearn.base import clone

from sklearn_cnn.architectures import (
    Architecture,
    ConvNet,
    ResNet,
    TimmModel,
    TorchModule,
    TorchvisionModel,
    UNet,
    as_architecture,
)
from sklearn_cnn.architectures._assembly import as_module, assemble, in_channels_last
from sklearn_cnn.architectures._standardize import Standardize
from sklearn_cnn.images import pixel_statistics
from sklearn_cnn.persistence._checks import Record, anything, text
from sklearn_cnn.persistence._values import (
    decode,
    decode_parameters,
    encode_architecture,
    encode_parameters,
)
from sklearn_cnn.persistence._weights import (
    check_output_shape,
    check_weights,
    layers_without_memory,
)
from sklearn_cnn.runtime.seeds import float32_by_default, seeded

_BUILT_FROM_A_FILE = (ConvNet, ResNet, TimmModel, TorchvisionModel, UNet)
# Values of an image that a network of the user's own, which may look at one, is built for.
_LARGEST_IMAGE = 2**28


def is_built_from_a_file(architecture):
    """Return whether `loads` can build an architecture that it is not passed."""
    return type(architecture) in _BUILT_FROM_A_FILE


def encode_fitted(architecture):
    """Encode what `architecture` was in the fit, or return None if that needs code."""
    try:
        return encode_architecture(architecture)
    except TypeError:
        return None


def fitted_architecture(decoded, structure):
    """Return what training that goes on is compared with; what a file cannot hold is given."""
    if decoded is not None and not isinstance(decoded, Architecture):
        raise ValueError("fitted_architecture is no architecture")
    return structure if decoded is None else decoded


def encode_structure(architecture):
    """Encode what builds the layers; of the user's own class only its name and parameters."""
    try:
        return encode_architecture(architecture)
    except TypeError:
        own = {}
        if isinstance(architecture, TorchModule):
            own = {"head": architecture.head, **architecture.params}
        return {"own": str(architecture), "parameters": encode_parameters(own)[0]}


def decode_structure(saved, name, given, kind):
    """Return the architecture that builds the layers."""
    own, parameters = None, {}
    if isinstance(saved, dict) and "own" in saved:
        record = Record(saved, name)
        own = record.take("own", text)
        parameters = record.take("parameters", anything)
        parameters = decode_parameters(parameters, name, parameters)
        record.end()
    if given is not None:
        architecture = as_architecture(given)
        if own is not None and isinstance(architecture, TorchModule):
            parameters = {**parameters, **architecture.params}
            architecture = clone(architecture).set_params(**parameters)
        return architecture
    if own is not None:
        load = f"{kind}.load(path, architecture=...)"
        raise ValueError(
            f"it was saved with a network of your own, {own}, whose code is not in the file. Pass "
            f"its class again: {load}. To start from it, write "
            f"Finetuned(FrozenEstimator({load}))"
        )
    architecture = decode(saved, name)
    if not is_built_from_a_file(architecture) or getattr(architecture, "weights", None) is not None:
        raise ValueError(f"{name} is none that builds layers")
    return architecture


def build_module(structure, image_shape, target, weights):
    """Build the module anew, with the weights of the file in place of any of its own."""
    (height, width, channels), n_outputs = image_shape, target.n_outputs
    is_ours = is_built_from_a_file(structure)
    # layers may draw numbers, and get torch's default dtype
    with seeded(0, torch.device("cpu")), float32_by_default():
        if is_ours:
            with layers_without_memory(len(weights)):
                network = structure.build(channels, (height, width), n_outputs)
                unknown = torch.empty(channels)
                module = as_module(Standardize(unknown, unknown), network)
        else:
            if height * width * channels > _LARGEST_IMAGE:
                raise ValueError(f"its images of {image_shape} are too large")
            blank = torch.zeros((1, height, width, channels))
            pixels = pixel_statistics(blank, torch.arange(1))
            module = assemble(structure, pixels, n_outputs, target.is_map)
    check_weights(weights, module.state_dict())
    if is_ours:
        output_shape = (n_outputs, height, width) if target.is_map else (n_outputs,)
        check_output_shape(module, image_shape, output_shape)
    # torch keeps the versions of layers in a state dict of its own
    state = module.state_dict()
    state.update(weights)
    module.load_state_dict(state, assign=True)
    # torch would ask for the memory of a tensor that no file can hold at its first use
    if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        raise ValueError("its network holds tensors that are not in the file")
    return in_channels_last(module)
