"""The bytes of a model file: tensors and one JSON text in safetensors' layout, and a checksum.

What the JSON says is not looked at here; docs/file_format.md describes the whole.
"""

import hashlib
import json
from collections import Counter

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors_torch

from sklearn_cnn.persistence._checks import WHOLE_NUMBERS, shown

FORMAT = "sklearn_cnn estimator"
VERSION = 5

# JSON beyond this has no use in a model file, and asks for many times its own memory.
_LONGEST_JSON, _MOST_CONTAINERS = 2**24, 2**18
_NO_CHECKSUM = "0" * 64
# How the header of a file that `pack` wrote spells a checksum; no text inside of it can.
_CHECKSUM_ENTRY = '"checksum":"{}"'


def pack(content, tensors):
    """Return a model file as bytes.

    Parameters
    ----------
    content : dict
        Plain values that JSON holds.
    tensors : dict of str to Tensor
        On the CPU.

    Returns
    -------
    bytes
    """
    return pack_text(json.dumps(content, allow_nan=False), tensors)


def pack_text(text, tensors):
    """Return a model file whose content is a JSON text, or any."""
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "checksum": _NO_CHECKSUM,
        "content": text,
    }
    # safetensors takes no tensor twice, and none whose memory is in another order
    own = {
        name: tensor.clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    data = safetensors_torch.save(own, metadata)
    return _with_checksum(data, _NO_CHECKSUM, hashlib.sha256(data).hexdigest())


def unpack(data):
    """Return what `pack` was given.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    content : dict
    tensors : dict of str to Tensor

    Raises
    ------
    ValueError
        If `pack` of this version did not write the bytes, or they were changed since.
    """
    if data[:2] == b"PK":
        raise ValueError(
            "it is an archive as torch.save writes it. Models of before sklearn_cnn 0.1 were such: "
            "fit and save those anew. Weights alone go into an architecture: "
            "TorchvisionModel(name, weights=path)"
        )
    try:
        tensors = safetensors_torch.load(data)
    # the dtypes that torch lacks are missing from a table of safetensors'
    except (SafetensorError, KeyError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(f"it is no safetensors file, or a broken one ({error})") from error
    header = _parse(data[8 : 8 + int.from_bytes(data[:8], "little")], "its header")
    # safetensors takes null for none
    metadata = header.get("__metadata__") or {}
    if metadata.get("format") != FORMAT:
        raise ValueError(
            "it holds no estimator of sklearn_cnn. Weights alone go into an architecture: "
            "TorchvisionModel(name, weights=path)"
        )
    if metadata.get("version") != str(VERSION):
        raise ValueError(
            f"it is of version {metadata.get('version')!r} of the file format, and this "
            f"sklearn_cnn reads version {VERSION}. Read it with the sklearn_cnn that wrote it"
        )
    _check_checksum(data, metadata.get("checksum", ""))
    content = _parse(metadata.get("content", "").encode(), "its content")
    return content, tensors


def _with_checksum(data, old, new):
    """Replace the checksum in the header."""
    start = data.find(_CHECKSUM_ENTRY.format(old).encode())
    if start < 0:
        raise ValueError("its checksum is not where it belongs")
    start += _CHECKSUM_ENTRY.index("{")
    return b"".join([data[:start], new.encode(), data[start + len(old) :]])


def _check_checksum(data, checksum):
    expected = hashlib.sha256(_with_checksum(data, checksum, _NO_CHECKSUM)).hexdigest()
    if checksum != expected:
        raise ValueError("its checksum does not agree with what it holds: it was damaged")


def _parse(text, name):
    """Return the JSON object that bytes hold."""
    if len(text) > _LONGEST_JSON or text.count(b"[") + text.count(b"{") > _MOST_CONTAINERS:
        raise ValueError(f"{name} is too long")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_int=_whole_number,
        )
    except RecursionError as error:
        raise ValueError(f"{name} is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"{name} is no JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no JSON object")
    return value


def _unique(pairs):
    entries = dict(pairs)
    if len(entries) < len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"duplicate key {shown(name)}")
    return entries


def _whole_number(digits):
    # the time that a text takes to become a number grows with the square of its length
    if len(digits) > 20 or int(digits) not in WHOLE_NUMBERS:
        raise ValueError(f"{shown(digits)} has more than 64 bits")
    return int(digits)


def _refuse_constant(name):
    raise ValueError(f"{name} is no number of JSON")
