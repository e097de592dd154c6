"""Where the training images lie: on the device if they fit, else on the host, sent as needed."""

from sklearn_cnn.runtime.memory import fits, free_memory


def to_device(images, device):
    """Return images on a device if they fit there, else as they are.

    Parameters
    ----------
    images : Tensor of shape (n, H, W, C)
    device : torch.device

    Returns
    -------
    Tensor of shape (n, H, W, C)
    """
    if device.type == "cuda" and not fits(images.nbytes, free_memory(device)):
        return images
    return images.to(device)


def send(batch, device):
    """Return a batch on a device; the host does not wait for the transfer.

    Pinned memory is what a GPU reads by itself: while it computes one step, the host gathers
    and sends the batch of the next.
    """
    if device.type == "cuda" and batch.device.type == "cpu":
        return batch.pin_memory().to(device, non_blocking=True)
    return batch.to(device)
