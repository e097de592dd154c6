"""Where the training images lie: on the device if they fit, else on the host, sent as needed."""

import torch

# Share of a device's free memory that images may take; the rest is the network's.
_SHARE_FOR_IMAGES = 0.5


def fits(n_bytes, free_bytes):
    """Say whether images of so many bytes should lie on a device.

    Parameters
    ----------
    n_bytes : int
        Of all the images.
    free_bytes : int
        Memory of the device that is free.

    Returns
    -------
    bool
        True if they take at most half of it.
    """
    return n_bytes <= _SHARE_FOR_IMAGES * free_bytes


def place(images, device):
    """Return images on a device if they fit there, else as they are.

    Parameters
    ----------
    images : Tensor of shape (n, H, W, C)
    device : torch.device

    Returns
    -------
    Tensor of shape (n, H, W, C)
    """
    if device.type == "cuda" and not fits(images.nbytes, torch.cuda.mem_get_info(device)[0]):
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
