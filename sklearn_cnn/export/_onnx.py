"""Modules as ONNX files, checked by onnxruntime before they are written."""

import contextlib
import io
import json
import re
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_consistent_length, gen_batches

from sklearn_cnn._version import __version__
from sklearn_cnn.export._module import answers_of
from sklearn_cnn.export._report import compare, score_by
from sklearn_cnn.images import parse
from sklearn_cnn.runtime.device import prediction_batch_size
from sklearn_cnn.runtime.replaced_files import replace_file
from sklearn_cnn.runtime.warnings import warn
from sklearn_cnn.targets import SingleLabel
from sklearn_cnn.training.batches import read_ahead
from sklearn_cnn.training.prediction import predict_outputs, refuse_not_finite

_PRECISIONS = ("float32", "float16", "int8")
_WITH_WEIGHTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
# Largest differences from the estimator, in the units of `OnnxReport`; rounding of float32 is
# a hundredth of them.
_MOST = {"predict_proba": 1e-4}
_MOST_ELSE = 1e-3
# A line of code in what torch says of an error: file, number and text.
_PLACE = re.compile(r'File "(.+)", line (\d+), in .+\n(.+)')
# Images of a calibration below which its ranges are those of the few.
_ENOUGH_TO_CALIBRATE = 100


@dataclass(frozen=True)
class OnnxOptions:
    """How an ONNX file is written.

    Parameters
    ----------
    output : {"predict_proba", "predict", "decision_function", "transform"}
        The method whose answer the file gives.
    precision : {"float32", "float16", "int8"}
    dynamic_batch : bool
        Whether the file takes batches of any size, or one image.
    n_dimensions : {2, 3, 4}
        Of a batch of images.
    """

    output: str
    precision: str
    dynamic_batch: bool
    n_dimensions: int


def onnx_options(output, precision, dynamic_batch, X, y):
    """Return the options of a file, checked; a ValueError says what cannot be."""
    if not isinstance(dynamic_batch, bool):
        raise ValueError(
            f"dynamic_batch must be True, for batches of any size, or False, for one image at a "
            f"time; got {dynamic_batch!r}."
        )
    if precision not in _PRECISIONS:
        raise ValueError(f"precision must be one of {list(_PRECISIONS)}, got {precision!r}.")
    if X is None and (precision == "int8" or y is not None):
        what = "int8 is calibrated on images" if y is None else "y are the labels of images"
        raise ValueError(f"{what}: pass some hundreds like those that the file will see as X.")
    if y is not None and output == "transform":
        raise ValueError("y scores predictions, and output='transform' has none: leave y out.")
    if isinstance(y, (str, bytes)):
        raise ValueError(
            f"y must hold a label or numbers for each image of X, got {y!r}. Options are passed by "
            "name: output=, precision=, dynamic_batch=."
        )
    if y is not None:
        check_consistent_length(X, y)
    return OnnxOptions(output, precision, dynamic_batch, 4 if X is None else _n_dimensions(X))


def _n_dimensions(X):
    """Return the dimensions of a batch like X; of images one by one, those of a stack of them."""
    parsed = parse(X)
    return np.ndim(parsed.table) if parsed.cells is None else 4


def noise_like(module, image_shape):
    """Return some float32 images of noise, whose pixels are of the mean and spread of training's.

    Parameters
    ----------
    module : nn.Sequential
        Of `standardize` and `network`.
    image_shape : tuple of (int, int, int)

    Returns
    -------
    Tensor of shape (n, H, W, C)
    """
    drawn = np.random.default_rng(0).standard_normal((4, *image_shape), dtype=np.float32)
    images = torch.from_numpy(drawn)
    mean, std = (getattr(module.standardize, name, None) for name in ("mean", "std"))
    if mean is None or std is None:
        return images
    return images * std.flatten().cpu() + mean.flatten().cpu()


def warn_of_calibration(n_images, extremes, pixel_range):
    """Warn if int8 is to be calibrated on images that cannot show the ranges of those to come.

    Parameters
    ----------
    n_images : int
    extremes : Extremes
        Of the images.
    pixel_range : PixelRange
        Of the training images.

    Warns
    -----
    UserWarning
        If they are few, or span much less of the range of pixels.
    """
    found = []
    if n_images < _ENOUGH_TO_CALIBRATE:
        found.append(f"{n_images} images")
    if pixel_range.is_hardly_spanned(extremes):
        found.append(
            f"pixels from {extremes.low:g} to {extremes.high:g}, where those of fit were from "
            f"{pixel_range.low:g} to {pixel_range.high:g}"
        )
    if found:
        warn(
            f"int8 is calibrated on X, which has {' and '.join(found)}: what goes beyond the "
            "ranges that they show is cut off. Pass some hundreds of images like those to come."
        )


def write_onnx(path, module, target, images, score_of, options, facts):
    """Write a module as an ONNX file that answers as the estimator does.

    Parameters
    ----------
    path : str or path
    module : ExportedModule
    target : SingleLabel, MultiLabel or Continuous
    images : Tensor or LazyImages of shape (n, H, W, C), uint8 or float32
        What the file is checked on, and rounded by; its dtype becomes that of the file's input.
    score_of : callable or None
        Maps labels, or numbers, of the images to the estimator's score; None where no truth is
        known.
    options : OnnxOptions
    facts : dict
        What the file says of itself: names to what JSON takes.

    Returns
    -------
    OnnxReport

    Raises
    ------
    ImportError
        If onnx, onnxruntime or onnxscript are missing.
    TypeError
        If labels that the file would answer are neither numbers nor text.
    ValueError
        If y cannot be scored, the network cannot be exported, or the file would answer otherwise
        than the estimator.
    """
    _imported()
    outputs = predict_outputs(module.core, images, torch.device("cpu")).numpy()
    refuse_not_finite(np.isfinite(outputs).reshape(len(outputs), -1).all(axis=1))

    def expected():
        for rows in gen_batches(len(images), _batch_size(images, options)):
            yield answers_of(outputs[rows], target, options.output)

    # the export takes seconds: what ends without a file does so before it
    estimator_score = score_by(score_of, expected(), target, options.output)
    has_labels = options.output == "predict" and isinstance(target, SingleLabel)
    labels = _storable(target.classes) if has_labels else None

    def batches():
        return _batches(images, module, options)

    def report_on(data, precision):
        pairs = zip(_answers(data, batches(), precision), expected(), strict=True)
        by = (score_of, estimator_score, target, options.output)
        return compare(pairs, *by, precision, len(data))

    model = _graph(module, next(batches()), options)
    if labels is not None:
        _answer_labels(model, labels)
    facts = {**facts, "output": options.output}
    data = _described(model, facts)
    report = report_on(data, "float32")
    most = _MOST.get(options.output, _MOST_ELSE)
    if not report.difference <= most:
        raise ValueError(
            f"The ONNX file would answer otherwise than the estimator: by {report.difference:.2g} "
            f"{report.unit}, where {most:g} is allowed. Nothing was written."
        )
    if options.precision != "float32":
        is_half = options.precision == "float16"
        data = _described(_half(model) if is_half else _quantized(model, batches()), facts)
        report = report_on(data, options.precision)
    replace_file(path, data)
    return report


def _imported():
    """Return onnx and onnxruntime."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401 (torch needs it)
    except ImportError as error:
        raise ImportError(
            f'to_onnx needs the package {error.name}: pip install "sklearn-cnn[onnx]".'
        ) from error
    return onnx, onnxruntime


def _batch_size(images, options):
    """Return how many images a file is asked about at once."""
    return prediction_batch_size(tuple(images.shape[1:3])) if options.dynamic_batch else 1


def _batches(images, module, options):
    """Yield images as the user has them, as arrays."""
    form = module.forms[options.n_dimensions]
    rows = gen_batches(len(images), _batch_size(images, options))
    for batch in read_ahead(images, list(rows)):
        if module.channel_axis == 1:
            batch = batch.permute(0, 3, 1, 2)
        yield batch.reshape(len(batch), *form).contiguous().numpy()


def _graph(module, batch, options):
    """Return a module as an ONNX model."""
    # of two images: torch takes the size of one for a constant
    n_images = 2 if options.dynamic_batch else 1
    sample = torch.zeros((n_images, *batch.shape[1:]), dtype=torch.from_numpy(batch).dtype)
    shapes = ({0: torch.export.Dim("batch")},) if options.dynamic_batch else None
    try:
        # torch warns about torch, and prints its graph before it raises
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                module,
                (sample,),
                dynamo=True,
                dynamic_shapes=shapes,
                input_names=["images"],
                output_names=[options.output],
                verbose=False,
            )
    except RuntimeError as error:
        advice = "Its forward may not branch on the values of pixels."
        if options.dynamic_batch:
            advice += " Write dynamic_batch=False if it is bound to a size."
        raise ValueError(
            f"The network cannot be exported to ONNX: {_reason(error)}. {advice}"
        ) from error
    model = program.model_proto
    for part in (model.graph, *model.graph.node, *model.graph.value_info):
        # names of this machine's files among them
        part.ClearField("metadata_props")
    return model


def _reason(error):
    """Return why torch cannot follow a network, with the line of its code if torch names one."""
    text = str(error.__cause__ or error).strip()
    reason, places = text.splitlines()[0], _PLACE.findall(text)
    if not places:
        return reason
    file, line, code = places[-1]
    return f"{reason} at `{code.strip()}`, line {line} of {file}"


def _storable(classes):
    """Return labels as an array that an ONNX file holds; a TypeError if it holds none such."""
    is_text = classes.dtype.kind in "UT" or all(isinstance(label, str) for label in classes)
    if not is_text and classes.dtype.kind not in "biuf":
        raise TypeError(
            "An ONNX file holds labels that are numbers or text, and these are neither: "
            f"{classes[:3].tolist()}. Write output='predict_proba'."
        )
    return classes.astype(object) if is_text else classes


def _answer_labels(model, classes):
    """Have a model answer the labels themselves in place of their indices."""
    onnx, _ = _imported()
    labels = onnx.numpy_helper.from_array(classes)
    [answer] = model.graph.output
    # names that no layer of torch's has
    index, labels.name = f"{answer.name}.index", f"{answer.name}.classes"
    for node in model.graph.node:
        node.output[:] = [index if name == answer.name else name for name in node.output]
    model.graph.initializer.append(labels)
    model.graph.node.append(onnx.helper.make_node("Gather", [labels.name, index], [answer.name]))
    answer.type.tensor_type.elem_type = labels.data_type


def _described(model, facts):
    """Return a model with what it says of itself, as bytes."""
    onnx, _ = _imported()
    facts = {**facts, "sklearn_cnn_version": __version__}
    described = {name: json.dumps(fact, default=str) for name, fact in facts.items()}
    onnx.helper.set_model_props(model, described)
    return model.SerializeToString()


def _half(model):
    """Return a model with weights and layers in float16."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with warnings.catch_warnings():
        # about weights below its smallest number
        warnings.simplefilter("ignore")
        return convert_float_to_float16(
            model, keep_io_types=True, node_block_list=_ends(model.graph)
        )


def _quantized(model, batches):
    """Return a model with weights and layers in int8, calibrated on images."""
    onnx, _ = _imported()
    from onnxruntime.quantization import CalibrationDataReader, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):
        def get_next(self):
            batch = next(batches, None)
            return None if batch is None else {"images": batch}

    with tempfile.TemporaryDirectory() as folder:
        given, prepared, written = (Path(folder, name) for name in ("given", "prepared", "int8"))
        given.write_bytes(model.SerializeToString())
        quant_pre_process(given, prepared, skip_symbolic_shape=True)
        ends = _ends(onnx.load(prepared).graph)
        quantize_static(prepared, written, Images(), per_channel=True, nodes_to_exclude=ends)
        return onnx.load(written)


def _ends(graph):
    """Return the names of the nodes up to the first layer with weights, and from the last one on.

    They handle pixels and answers, whose range is the user's, and stay in float32: rounding to int8
    costs most of its accuracy in these layers, which are small.
    """
    ends = []
    for nodes, enters, leaves in (
        (graph.node, "input", "output"),
        (reversed(graph.node), "output", "input"),
    ):
        inside: set[str] = set()
        for node in nodes:
            is_inside = not inside.isdisjoint(getattr(node, enters))
            if not is_inside:
                ends.append(node.name)
            if is_inside or node.op_type in _WITH_WEIGHTS:
                inside.update(getattr(node, leaves))
    return ends


def _answers(data, batches, precision):
    """Yield what onnxruntime answers, batch by batch; a ValueError if it is not finite."""
    _, onnxruntime = _imported()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # its warnings are about graphs that it goes on to run
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    for batch in batches:
        [answers] = session.run(None, {"images": batch})
        if answers.dtype.kind == "f" and not np.isfinite(answers).all():
            raise ValueError(
                f"In {precision} answers are not finite: pixels, answers or numbers inside the "
                "network are too large for it. Nothing was written. Write precision='float32'."
            )
        yield answers
