"""What a network must return, in training and after it."""

from itertools import permutations


def check_logits(outputs, n_images, shape, network="The network"):
    """Raise unless outputs are logits of a batch.

    A loss would broadcast outputs of another shape against the targets, and train all the same.

    Parameters
    ----------
    outputs : object
        What the network returned.
    n_images : int
        Images in the batch.
    shape : tuple of int
        Of the logits of an image: (n_outputs,), or (n_outputs, H, W) of maps.
    network : str, default="The network"
        What to call the network in an error.

    Raises
    ------
    ValueError
        If they are of another type or shape.
    """
    found = tuple(getattr(outputs, "shape", ()))
    if found == (n_images, *shape):
        return
    got = found or type(outputs).__name__
    if isinstance(outputs, dict):
        got = f"a dict of {', '.join(map(repr, outputs))}"
    raise ValueError(
        f"{network} must map a batch of {n_images}, in training too, to logits of shape "
        f"{(n_images, *shape)}, got {got}. {_advice(found, shape)}"
    )


def checked_outputs(outputs, n_images, shape):
    """Return what a network returned in training as float32, if it is logits of a batch.

    Networks with an auxiliary head return a dict, as torchvision's do: the logits, "out", and those
    of that head, "aux".

    Parameters
    ----------
    outputs : Tensor or dict of Tensor
    n_images : int
    shape : tuple of int
        As `check_logits` takes them.

    Returns
    -------
    Tensor or dict of Tensor
        As `WeightedLoss` takes them.

    Raises
    ------
    ValueError
        As `check_logits`.
    """
    if isinstance(outputs, dict) and outputs.keys() == {"out", "aux"}:
        for head, logits in outputs.items():
            check_logits(logits, n_images, shape, f'"{head}" of the network')
        return {head: logits.float() for head, logits in outputs.items()}
    check_logits(outputs, n_images, shape)
    return outputs.float()


def _advice(found, shape):
    """Return what to write where outputs have one shape and should have another."""
    is_map, returns_map = len(shape) == 3, len(found) == 4
    if is_map and len(found) == 2:
        return (
            "y has a value for each pixel: write architecture=UNet(), or let a network of your own "
            "return logits for each pixel."
        )
    if returns_map and not is_map:
        return (
            "y has a value for each image, and the network returns maps: pool them over the pixels."
        )
    order = _order_of_axes(found, shape) if is_map and returns_map else None
    if order is not None:
        return f"Those are its axes in another order: let it return outputs.permute{order}."
    if is_map and returns_map and found[2:] != shape[1:]:
        return (
            f"Maps have to be of the images' own size, {shape[1]} x {shape[2]}: bring them to it, "
            "by torch.nn.functional.interpolate say."
        )
    return (
        "A constructor that names num_classes or n_outputs is passed the number; outputs of an "
        "auxiliary head have to be left out, but in training, where a network may return "
        '{"out": logits, "aux": logits of that head}.'
    )


def _order_of_axes(found, shape):
    """Return how to permute the axes of a batch of maps to those of a shape, if that is all."""
    # of several orders that fit, where sides are equal, the first one leaves rows before columns
    for order in permutations((1, 2, 3)):
        if found[1:] != shape and tuple(found[axis] for axis in order) == shape:
            return (0, *order)
    return None


def check_kind_of_output(architecture, is_map):
    """Raise unless an architecture returns maps where y has them, and vectors where it does not.

    Parameters
    ----------
    architecture : Architecture
    is_map : bool
        Whether y has a value for each pixel.

    Raises
    ------
    ValueError
        With what to write instead. None where the architecture does not say what it returns.
    """
    if architecture.output is None or (architecture.output == "map") == is_map:
        return
    if is_map:
        raise ValueError(
            f"y has a value for each pixel, and {architecture} returns one vector an image: write "
            "architecture=UNet(), or a network of your own that returns logits of shape "
            "(n, n_outputs, height, width)."
        )
    raise ValueError(
        f"y has a value for each image, and {architecture} returns maps, a value for each pixel: "
        "write another architecture, or pass masks or maps as y, of shape (n, height, width)."
    )
