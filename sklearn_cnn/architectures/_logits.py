"""What a network must return, in training and after it."""


def check_logits(outputs, n_images, n_outputs, network="The network"):
    """Raise unless outputs are logits of a batch.

    A loss would broadcast outputs of another shape against the targets, and train all the same.

    Parameters
    ----------
    outputs : object
        What the network returned.
    n_images : int
        Images in the batch.
    n_outputs : int
        Logits of an image.
    network : str, default="The network"
        What to call the network in an error.

    Raises
    ------
    ValueError
        If they are of another type or shape.
    """
    shape = tuple(getattr(outputs, "shape", ()))
    if shape == (n_images, n_outputs):
        return
    got = shape or type(outputs).__name__
    raise ValueError(
        f"{network} must map a batch of {n_images}, in training too, to logits of shape "
        f"({n_images}, {n_outputs}), got {got}. A constructor that names num_classes or n_outputs "
        "is passed the number; outputs of auxiliary heads have to be left out."
    )
