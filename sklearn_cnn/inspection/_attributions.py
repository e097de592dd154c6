"""How much each pixel has to do with what is predicted, by captum's methods."""

from numbers import Integral

import numpy as np
import torch
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.utils import check_scalar

from sklearn_cnn.architectures._assembly import twin_of
from sklearn_cnn.images import Extremes
from sklearn_cnn.inspection._layers import layer_of_maps
from sklearn_cnn.inspection._network import as_network_sees, from_the_outside
from sklearn_cnn.inspection._outputs import Attributed, target_indices
from sklearn_cnn.runtime.device import (
    exact_convolutions,
    new_tensors_on_cpu,
    prediction_batch_size,
)
from sklearn_cnn.runtime.fitted import is_network_estimator
from sklearn_cnn.runtime.progress import image_bar
from sklearn_cnn.targets import Continuous
from sklearn_cnn.training.prediction import prediction_batches, refuse_not_finite

# Which arguments a method has.
_OPTIONS = {
    "hires_cam": ("layer",),
    "grad_cam": ("layer",),
    "integrated_gradients": ("baseline", "n_steps"),
    "occlusion": ("baseline", "window"),
}
# Windows of this part of a side are small enough to tell parts of an object apart.
_WINDOWS_OF_A_SIDE = 8
_N_STEPS = 50


def attributions(
    estimator,
    X,
    *,
    method="hires_cam",
    target=None,
    layer=None,
    baseline=None,
    n_steps=None,
    window=None,
):
    """Say how much each pixel has to do with what a network predicts.

    What is attributed to the pixels is one number an image: of labels the logit of the target,
    and of two classes how far it is ahead of the other's, as in `decision_function`; of numbers
    the target itself, in the units of y. With a value for each pixel it is the mean of that over
    the pixels that are predicted as the target, as in Seg-Grad-CAM [5]_ (which has the sum), or of
    numbers over all pixels.

    Parameters
    ----------
    estimator : estimator
        A fitted `CNNClassifier` or `CNNRegressor`, or a Pipeline or search with one. It is asked
        without test-time augmentation. Of what changes its answers, by a threshold or by a
        transformation of y, pass the network inside: `.estimator_`, or `.regressor_`, whose
        attributions are in the units of the transformed y.
    X : array-like of shape (n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)
        Images, as its `predict` takes them; files and PIL images too.
    method : {"hires_cam", "grad_cam", "integrated_gradients", "occlusion"}, default="hires_cam"
        "hires_cam" [1]_: where the maps of a late layer speak for the target, interpolated to the
        size of the image; fast, and coarse. "grad_cam" [2]_: the same, but each map is weighed by
        one number for all places: no other answer of networks that end in a mean over the maps,
        as most do, while of `ConvNet`, whose last layer tells places apart, it may be zero
        or point elsewhere. Both are not negative of labels; of numbers they are negative where the
        maps make the number smaller. "integrated_gradients" [3]_: the gradient of each pixel
        on the way from a baseline to the image, which sums to the difference of their outputs.
        "occlusion" [4]_: how much the output falls when a window of the image is covered; slow,
        and without gradients.
    target : label, int or array-like of shape (n,), default=None
        Which class, or which column of y from 0 on; or one for each image. None: the predicted
        class; of several labels the likeliest. It has to be said of several numbers, and of masks.
    layer : str, default=None
        For "hires_cam" and "grad_cam": the name of the layer whose maps are looked at, as
        `estimator.module_.network.named_modules()` has it. None: the last one before pooling that
        all of the image goes through, of four pixels or more on the longer side if there is one;
        with a value for each pixel the last one of the smallest such maps.
    baseline : float or array-like of shape (C,), (H, W), (H, W, C) or (H*W*C,), default=None
        For "integrated_gradients" and "occlusion": what pixels are compared with, or covered by, of
        all images. None: the mean of a channel by which the network standardizes pixels.
    n_steps : int, default=None
        For "integrated_gradients": images on the way. None is 50.
    window : int or tuple of (int, int), default=None
        For "occlusion": height and width of what is covered, in pixels; it moves by half of them.
        None: an eighth of the image's.

    Returns
    -------
    ndarray of shape (n, H, W), float32
        H and W are those of the images as the network sees them, `image_shape_`. The channels of
        a pixel have one number together: integrated gradients are summed over them, a window
        covers all of them.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If there is no single network in the estimator, X cannot be read as images, `method` is
        unknown, `target` is none of the classes or columns, or has to be said, an argument is
        wrong or of another method, or the network has no maps for "hires_cam" and "grad_cam".
    TypeError
        If `n_steps` or `window` is no integer, `layer` no text, or `estimator` a torch module.
    ImportError
        If captum is not installed.

    See Also
    --------
    sklearn_cnn.AttributionDisplay : Draws them over the images.
    sklearn.inspection.permutation_importance : Which columns of a table matter.

    References
    ----------
    .. [1] R. L. Draelos, L. Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of
       convolutional neural networks", 2020.
    .. [2] R. R. Selvaraju et al., "Grad-CAM: visual explanations from deep networks via
       gradient-based localization", ICCV 2017.
    .. [3] M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", ICML 2017.
    .. [4] M. D. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks",
       ECCV 2014.
    .. [5] K. Vinogradova, A. Dibrov, G. Myers, "Towards interpretable semantic segmentation via
       gradient-weighted class activation mapping", AAAI 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cnn import CNNClassifier
    >>> from sklearn_cnn.inspection import attributions
    >>> X, y = load_digits(n_class=3, return_X_y=True)
    >>> classifier = CNNClassifier(max_epochs=3, random_state=0).fit(X[:400], y[:400])
    >>> attributions(classifier, X[400:410], method="integrated_gradients").shape
    (10, 8, 8)
    """
    options = {"layer": layer, "baseline": baseline, "n_steps": n_steps, "window": window}
    check_method(method, options)
    network = the_network(estimator)
    maps, _ = attribute(network, as_network_sees(estimator, X), method, target, options)
    return maps


def the_network(estimator):
    """Return the one network inside a fitted estimator; a ValueError if there is none."""
    if isinstance(estimator, torch.nn.Module):
        raise TypeError(
            f"estimator is a torch module, {type(estimator).__name__}: pass the CNNClassifier or "
            "CNNRegressor, and not its module_."
        )
    for outer in from_the_outside(estimator):
        if isinstance(outer, (FixedThresholdClassifier, TunedThresholdClassifierCV)):
            raise ValueError(
                f"{type(outer).__name__} predicts by a threshold, and not the class of the largest "
                "output, which is what is attributed to pixels. Pass its estimator_."
            )
        if isinstance(outer, TransformedTargetRegressor):
            raise ValueError(
                "TransformedTargetRegressor changes what its network predicts, which is what is "
                "attributed to pixels. Pass its regressor_, for attributions in the units of the "
                "transformed y."
            )
    if is_network_estimator(outer):
        return outer
    if getattr(outer, "refit", True) is False:
        raise ValueError(
            f"{type(outer).__name__} was fitted with refit=False, and holds no network. Fit it "
            "with refit=True."
        )
    raise ValueError(
        "Pixels are attributed what one CNNClassifier or CNNRegressor predicts, by itself, at "
        f"the end of a Pipeline or in a search, but {type(estimator).__name__} does not "
        "predict with one alone. Pass a network out of it."
    )


def check_method(method, options):
    """Raise a ValueError if a method is unknown, or an option that is not None is not its own."""
    if method not in _OPTIONS:
        raise ValueError(f"method must be one of {', '.join(_OPTIONS)}, got {method!r}.")
    for name, value in options.items():
        if value is not None and name not in _OPTIONS[method]:
            others = [other for other, names in _OPTIONS.items() if name in names]
            raise ValueError(f"{name} is for {' and '.join(others)}, but method={method!r}.")


@new_tensors_on_cpu()
def attribute(network, X, method, target, options):
    """Return the attributions of images, and which outputs they are of.

    Parameters
    ----------
    network : CNNClassifier or CNNRegressor
        A fitted one.
    X : array-like
        Images, as they come to the network.
    method : {"grad_cam", "integrated_gradients", "occlusion"}
    target : label, int, array-like of shape (n,) or None
    options : dict
        The arguments of the methods, by their names.

    Returns
    -------
    maps : ndarray of shape (n, H, W), float32
    indices : ndarray of shape (n,), int64
        Of the outputs.
    """
    refuse_without_captum()
    images, device = network._read_like_fit(X), torch.device(network.device_)
    asked = target_indices(network._target, target, len(images))
    module = twin_of(network.module_).eval()
    attributed = Attributed(module, network._target)
    baseline = _baseline(
        *(module, options["baseline"], network.image_shape_, network._preparation.channel_axis)
    ).to(device)
    batch_size = prediction_batch_size(network.image_shape_[:2], device.type)
    explain = _METHODS[method](attributed, baseline, batch_size, options)
    maps, indices, are_finite = [], [], []
    extremes, n_done = Extremes(), 0
    title = f"{type(network).__name__}: attributing"
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        exact_convolutions(device),
        image_bar(len(images), title, bool(network.verbose)) as progress,
    ):
        for batch, n in prediction_batches(images, batch_size, 1, device):
            extremes.add(batch)
            # integers have no gradient
            pixels = batch.float()
            with torch.no_grad():
                outputs = module(pixels).float()
            index = outputs.argmax(dim=1) if asked is None else asked[n_done : n_done + n]
            index, n_done = index.to(device), n_done + n
            are_finite.append(outputs.flatten(1).isfinite().all(dim=1).cpu())
            # else an error follows, when all such images are known
            if are_finite[-1].all():
                of_batch = explain(pixels, (index, attributed.shares(outputs, index)))
                maps.append(of_batch.detach().float().cpu())
                indices.append(index.cpu())
            if progress is not None:
                progress(n)
    refuse_not_finite(torch.cat(are_finite).numpy())
    network._compare_scale(extremes)
    return torch.cat(maps).numpy(), torch.cat(indices).numpy()


def refuse_without_captum():
    """Raise an ImportError that says what to install, unless captum is there."""
    try:
        import captum  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'Attributions need the package captum: pip install "sklearn-cnn[explain]".'
        ) from error


def _hires_cam(attributed, _baseline, _batch_size, options):
    """Return what maps pixels (b, C, H, W) to their attributions (b, H, W)."""
    from captum.attr import LayerGradientXActivation

    return _of_maps(LayerGradientXActivation, attributed, options["layer"])


def _grad_cam(attributed, _baseline, _batch_size, options):
    """Return what maps pixels (b, C, H, W) to their attributions (b, H, W)."""
    from captum.attr import LayerGradCam

    return _of_maps(LayerGradCam, attributed, options["layer"])


def _of_maps(method, attributed, layer_name):
    """Return what maps pixels to attributions by the maps of a layer."""
    from captum.attr import LayerAttribution

    layers: list[torch.nn.Module] = []

    def explain(pixels, of_images):
        if not layers:
            is_map = attributed.target.is_map
            layers.append(layer_of_maps(attributed.module, pixels[:1], is_map, layer_name))
        # where all before the layer is frozen, its maps have no gradient but for this
        pixels.requires_grad_()
        maps = method(attributed, layers[0]).attribute(pixels, additional_forward_args=of_images)
        maps = maps.sum(dim=1, keepdim=True)
        if not isinstance(attributed.target, Continuous):
            # of classes the papers look at what speaks for one
            maps = maps.relu()
        return LayerAttribution.interpolate(maps, tuple(pixels.shape[2:]), "bilinear")[:, 0]

    return explain


def _integrated_gradients(attributed, baseline, batch_size, options):
    """Return what maps pixels (b, C, H, W) to their attributions (b, H, W)."""
    from captum.attr import IntegratedGradients

    n_steps = _N_STEPS if options["n_steps"] is None else _count(options["n_steps"], "n_steps")
    integrated = IntegratedGradients(attributed)

    def explain(pixels, of_images):
        return integrated.attribute(
            pixels,
            baselines=baseline,
            additional_forward_args=of_images,
            n_steps=n_steps,
            internal_batch_size=batch_size,
        ).sum(dim=1)

    return explain


def _occlusion(attributed, baseline, batch_size, options):
    """Return what maps pixels (b, C, H, W) to their attributions (b, H, W)."""
    from captum.attr import Occlusion

    occlusion = Occlusion(attributed)
    height, width = _window(options["window"], baseline.shape[2:])
    strides = 1, max(1, height // 2), max(1, width // 2)

    def explain(pixels, of_images):
        n_images, n_channels = pixels.shape[:2]
        # a window covers all channels, which get the same each
        return occlusion.attribute(
            pixels,
            sliding_window_shapes=(n_channels, height, width),
            strides=strides,
            baselines=baseline,
            additional_forward_args=of_images,
            perturbations_per_eval=max(1, batch_size // n_images),
        )[:, 0]

    return explain


_METHODS = {
    "hires_cam": _hires_cam,
    "grad_cam": _grad_cam,
    "integrated_gradients": _integrated_gradients,
    "occlusion": _occlusion,
}


def _window(window, size):
    """Return the height and width of what is covered."""
    if window is None:
        return tuple(max(1, round(side / _WINDOWS_OF_A_SIDE)) for side in size)
    sides = tuple(window) if isinstance(window, (tuple, list)) else (window, window)
    if len(sides) != 2:
        raise ValueError(f"window must be one side, or height and width, got {window!r}.")
    return tuple(_count(side, "window", most=most) for side, most in zip(sides, size, strict=True))


def _count(value, name, most=None):
    """Return an integer of one or more; True is none, though Python has it so."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an instance of int, not bool.")
    return check_scalar(value, name, Integral, min_val=1, max_val=most)


def _baseline(module, baseline, image_shape, channel_axis):
    """Return what pixels are compared with, as a tensor of shape (1, C, H, W)."""
    height, width, channels = image_shape
    if baseline is None:
        # networks of others may standardize in a way of their own
        mean = getattr(module.standardize, "mean", torch.zeros(1))
        return mean.detach().float().reshape(1, -1, 1, 1).expand(1, channels, height, width)
    given = np.asarray(baseline)
    if given.dtype.kind not in "biuf" or not np.isfinite(given).all():
        raise ValueError(
            f"baseline must hold finite numbers, got {baseline!r:.80}. None is the mean by which "
            "the network standardizes pixels."
        )
    if given.shape == (height * width * channels,):
        # the order of flat rows
        by_channel = given.reshape(channels, height, width)
        given = np.moveaxis(by_channel, 0, 2) if channel_axis == 1 else given.reshape(image_shape)
    given = given.astype(np.float32)
    given = given[..., None] if given.ndim == 2 else given
    try:
        values = np.broadcast_to(given, image_shape)
    except ValueError as error:
        raise ValueError(
            f"baseline of shape {np.shape(baseline)} is no number, ({channels},), "
            f"({height}, {width}) or {image_shape}: one baseline serves all images."
        ) from error
    return torch.from_numpy(values.copy()).permute(2, 0, 1)[None]
