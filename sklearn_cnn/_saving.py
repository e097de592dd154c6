"""How a fitted estimator leaves: as a file, an ONNX file, a plain module of torch or a pickle."""

import copyreg
from collections.abc import Callable
from typing import Any

import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklearn_cnn.architectures import Architecture
from sklearn_cnn.architectures._registry import without_own_name
from sklearn_cnn.export import (
    OUTPUTS,
    exported_module,
    noise_like,
    onnx_options,
    warn_of_calibration,
    write_onnx,
)
from sklearn_cnn.images import Extremes, PixelRange, Preparation
from sklearn_cnn.persistence import (
    dumps,
    is_built_from_a_file,
    load_estimator,
    loads,
    save_estimator,
)
from sklearn_cnn.runtime.device import new_tensors_on_cpu
from sklearn_cnn.runtime.fitted import reads_one_fit
from sklearn_cnn.runtime.replaced_files import check_replaceable


class SavingMixin(BaseEstimator):
    """What both estimators save and export."""

    architecture: Any
    image_shape_: tuple[int, int, int]
    net_: Any
    # what builds the layers of `module_`
    _architecture: Architecture
    # what y is, see `targets`
    _target: Any
    _pixel_range: PixelRange
    _preparation: Preparation
    # of the estimators: the images of X, whether they are on the scale of fit's, what maps images
    # to features and to logits, predictions to a score, and what a file says of its answer
    _read_like_fit: Callable
    _compare_scale: Callable
    _feature_module: Callable
    _logit_module: Callable
    _scorer_of: Callable
    _answer_facts: Callable

    @reads_one_fit
    @new_tensors_on_cpu()
    def export_module(self, output="auto"):
        """Return the fitted network as a plain module of torch, from pixels to the answer.

        Other tools take it: `torch.export`, captum, a server without scikit-learn.

        Parameters
        ----------
        output : {"auto", "predict_proba", "predict", "decision_function", "transform"}, \
                default="auto"
            The method whose answer it gives, test-time augmentation included. "auto" is
            "predict_proba" where the estimator has it, else "predict".

        Returns
        -------
        torch.nn.Module
            A copy on the CPU, in evaluation mode and float32. Maps pixels of the size of the
            training images, uint8 or floats, of shape (b, H, W, C), or (b, C, H, W) with
            `channel_axis=1`; (b, H*W*C), and (b, H, W) if they are gray, to the answer. For
            "predict" of a classifier that is the index in `classes_`. Nothing is resized: maps have
            the size of the training images.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the estimator has no such method.

        See Also
        --------
        to_onnx : The same as a file for other programs.
        """
        check_is_fitted(self)
        output = self._exported_output(output)
        core = self._feature_module() if output == "transform" else self._logit_module()
        shape, axis = self.image_shape_, self._preparation.channel_axis
        return exported_module(core, self._target, output, shape, axis)

    @reads_one_fit
    @new_tensors_on_cpu()
    @torch.inference_mode(False)
    def to_onnx(
        self, path, X=None, y=None, *, output="auto", precision="float32", dynamic_batch=True
    ):
        """Write the fitted network as an ONNX file, from pixels to the answer.

        onnxruntime compares its answers with those of the estimator before it is written, in
        float32; what float16 and int8 cost is in the report.

        Parameters
        ----------
        path : str or path
            The file; one that is there is replaced as a whole.
        X : array-like, default=None
            Images like those that the file will see, as in `fit`. Their form and dtype (uint8,
            else float32) become those of the file's input, `images`; the file is compared with
            the estimator on them, and int8 is calibrated on them: some hundreds. None: float32 of
            four dimensions, and the file is compared on noise.
        y : array-like, default=None
            Labels or numbers of X, masks or maps, as in `score`: the report then has scores.
        output : {"auto", "predict_proba", "predict", "decision_function", "transform"}, \
                default="auto"
            The method whose answer the file gives, test-time augmentation included; it is the name
            of the file's output. "auto" is "predict_proba" where the estimator has it, else
            "predict".
        precision : {"float32", "float16", "int8"}, default="float32"
            Of weights and layers; input and output keep their dtypes. Numbers beyond 65504 do not
            fit into float16: of X they are an error, of later pixels the file answers NaN.
        dynamic_batch : bool, default=True
            Whether the file takes batches of any size, or one image at a time.

        Returns
        -------
        OnnxReport
            `n_bytes`, the size of the file; `difference`, its largest from the answers of the
            estimator; `agreement`, the share of images with the same label; `score` and
            `estimator_score`, what the method `score` measures, of both, where y was given. It
            prints as a sentence.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ImportError
            If the packages of the extra `onnx` are missing.
        TypeError
            If labels that the file would answer are neither numbers nor text.
        ValueError
            If the estimator has no such method, `precision="int8"` has no X, y cannot be scored,
            the network cannot be exported, or the file would differ from the estimator by more
            than 1e-4 in probability or 1e-3 standard deviations. Nothing is written then.

        Warns
        -----
        UserWarning
            If pixels of X plainly are on another scale than in `fit`; for `precision="int8"` also
            if X has fewer than a hundred images, or spans less than half of the range of pixels
            that `fit` saw.

        See Also
        --------
        export_module : The same as a module of torch.
        save : A file that trains on.
        """
        check_is_fitted(self)
        check_replaceable(path)
        output = self._exported_output(output)
        options = onnx_options(output, precision, dynamic_batch, X, y)
        shape = self.image_shape_
        if X is None:
            images = noise_like(self.net_.module_, shape)
        else:
            images = self._read_like_fit(X)
            self._check_sample(images, precision)
        facts = {
            "estimator": type(self).__name__,
            "image_shape": shape,
            "channel_axis": self._preparation.channel_axis,
            "interpolation": self._preparation.interpolation,
            **self._answer_facts(),
        }
        score_of = None if y is None else self._scorer_of(X, y, images)
        module = self.export_module(output)
        return write_onnx(path, module, self._target, images, score_of, options, facts)

    def _check_sample(self, images, precision):
        """Warn if images to compare a file on, and to calibrate it, are unlike those of fit."""
        extremes = Extremes.of(images, torch.arange(len(images)))
        self._compare_scale(extremes)
        if precision == "int8":
            warn_of_calibration(len(images), extremes, self._pixel_range)

    def _exported_output(self, output):
        """Return the name of the method that an export answers as."""
        names = [name for name in OUTPUTS if hasattr(self, name)]
        if output == "auto":
            return names[0]
        if output not in names:
            raise ValueError(
                f"output={output!r} is no method of this {type(self).__name__} that could be "
                f"exported: write one of {names}."
            )
        return output

    @reads_one_fit
    def save(self, path):
        """Write the fitted estimator to a file that holds no code.

        The file holds tensors and plain values, in safetensors' layout and under a checksum, so
        that reading it runs nothing: unlike a pickle, it may come from anyone.

        Parameters
        ----------
        path : str or path
            The file; one that is there is replaced as a whole, and keeps its mode. A link is
            followed.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If labels are neither numbers nor text.
        ValueError
            If a parameter was set that `fit` would refuse, a weight is not finite, or the path
            is there and no regular file.
        OSError
            If the file cannot be written, for want of room say; an earlier one is as it was.

        See Also
        --------
        load : Read the file.
        """
        check_is_fitted(self)
        save_estimator(self, path)

    @classmethod
    def load(cls, path, architecture=None):
        """Read a fitted estimator that `save` wrote.

        Predictions are those of the estimator that was saved, and training goes on from
        where it was. Parameters that are code of your own (`callbacks`, a function as
        `augmentation`, a loss) and `memory` come back as their defaults, with a warning. So do
        learned weights that another `fit` would start from: in place of
        `Finetuned(FrozenEstimator(...))` stands the architecture of its source.

        Parameters
        ----------
        path : str or path
            The file.
        architecture : Architecture, nn.Module, class or callable, default=None
            Your own network, if you saved one: its code is not in the file. Parameters of
            its constructor that were set are set again.

        Returns
        -------
        CNNClassifier or CNNRegressor
            The estimator, of the class that `load` is called on.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged, is no regular file, was not written by `save` of this
            version of the format, holds what `save` never writes, or another class of
            estimator, or needs `architecture`. Nothing is built or opened before that is clear.

        Warns
        -----
        UserWarning
            If a parameter did not come back, or the device is missing on this machine.

        See Also
        --------
        save : Write the file.
        """
        return load_estimator(path, cls, architecture)

    def __reduce_ex__(self, protocol):
        """Return what pickle and copy keep: everything. skops asks `__getstate__` alone."""
        # names that were registered in this process mean nothing in a worker
        state = {**vars(self), "architecture": without_own_name(self.architecture)}
        return copyreg.__newobj__, (type(self),), state  # type: ignore[attr-defined]

    @reads_one_fit
    def __getstate__(self):
        """Return plain values alone: once fitted, the bytes of the file that `save` writes."""
        if not hasattr(self, "net_"):
            return {**vars(self), "architecture": without_own_name(self.architecture)}
        own = None if is_built_from_a_file(self._architecture) else self._architecture
        if isinstance(getattr(own, "module", None), nn.Module):
            raise TypeError(
                f"{own} cannot be kept without code. Fit with the class of the network, or keep "
                f"the estimator by {type(self).__name__}.save, whose load is passed the network."
            )
        return {"_saved": dumps(self), "_own_architecture": own}

    def __setstate__(self, state):
        if "_saved" in state:
            state = vars(loads(state["_saved"], type(self), state["_own_architecture"]))
        super().__setstate__(state)
