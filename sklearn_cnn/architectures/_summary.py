"""Tables of a network's layers."""

import torch
from sklearn.utils.validation import check_is_fitted

_COLUMNS = ("output_size", "num_params", "mult_adds")


def summary(estimator):
    """Return a table of the layers of a fitted estimator's network.

    Parameters
    ----------
    estimator : CNNClassifier or CNNRegressor
        A fitted estimator.

    Returns
    -------
    torchinfo.ModelStatistics
        It prints as a table of layers, the shapes of their outputs, their parameters and
        their multiply-adds, for one image; the totals are its attributes `total_params`,
        `trainable_params` and `total_mult_adds`. Layers without parameters, the whitening of
        `ConvNet` among them, count none.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ImportError
        If torchinfo is not installed.

    See Also
    --------
    Architecture.summary : The same before any fit.
    """
    check_is_fitted(estimator)
    network, device = estimator.module_.network, estimator.device_
    return table_of_layers(network, estimator.image_shape_, device)


def table_of_layers(network, image_shape, device="cpu"):
    """Return torchinfo's table of a network, for one image of shape (H, W, C)."""
    try:
        import torchinfo
    except ImportError as error:
        raise ImportError(
            'A summary needs the package torchinfo: pip install "sklearn-cnn[summary]".'
        ) from error
    height, width, channels = image_shape
    image = torch.zeros((1, channels, height, width), dtype=torch.float32, device=device)
    return torchinfo.summary(
        network, input_data=image, col_names=_COLUMNS, device=device, mode="eval", verbose=0
    )
