"""HTDemucs' network between its two transforms, as graphs of OpenVINO.

It computes the same sums as demucs.htdemucs.HTDemucs.forward (demucs 4.1), nearly all of them as
matrix products, in real numbers and with the channels last.
"""

from dataclasses import dataclass
from typing import Any

import openvino
from openvino import opset15

from functions.separate.engine import Floats
from functions.separate.engine.htdemucs import operations as ov
from functions.separate.engine.htdemucs.branches import decode, encode
from functions.separate.engine.htdemucs.transformer import transform
from functions.separate.engine.htdemucs.weights import Tensors
from microdemucs.models.architecture import Architecture


@dataclass(frozen=True, slots=True)
class Precisions:
    """In which precision what is computed.

    `early`: all encoders of the wave and the first of the spectrogram, whose errors reach
    everything else. `sums`: the sums that run through the transformer's layers. `products`: all
    the rest.
    """

    products: Any
    early: Any
    sums: Any


ALL_F32 = Precisions(ov.F32, ov.F32, ov.F32)
ALL_BF16 = Precisions(ov.BF16, ov.BF16, ov.BF16)
CAREFUL_BF16 = Precisions(ov.BF16, ov.F32, ov.F32)
"""Takes about a tenth more time than ALL_BF16."""


def build_stages(
    architecture: Architecture, tensors: Tensors, precisions: Precisions
) -> tuple[openvino.Model, openvino.Model]:
    """Return the network in two stages, which can be compiled at the same time.

    The first ends with the transformer. Its inputs, both normalized: a spectrogram
    [channels, frames, bins, 2] and a mix [1, samples, channels]. The second takes all outputs of
    the first; its outputs: spectrograms [sources * channels, frames, bins, 2] and waves
    [sources * channels, samples]. Raises CannotBuild.
    """
    encoding = _encoding(architecture, tensors, precisions)
    return encoding, _decoding(architecture, tensors, precisions, encoding.outputs)


def _encoding(a: Architecture, tensors: Tensors, precisions: Precisions) -> openvino.Model:
    channels, bins = 2, a.nfft // 2
    spectrum = opset15.parameter([channels, a.frames, bins, 2], ov.F32, "spectrum")
    mix = opset15.parameter([1, a.samples, channels], ov.F32, "mix")
    x = ov.transpose(spectrum, [1, 2, 0, 3])
    x = ov.reshape(x, [1, a.frames, bins, 2 * channels])
    wave, skips = mix, []
    residuals = a.dconv_depth if a.has_encoder_residuals else 0
    for index in range(a.depth):
        of_spectrum = precisions.early if index == 0 else precisions.products
        x = encode(x, tensors.at("encoder").at(index), residuals, of_spectrum)
        wave = encode(wave, tensors.at("tencoder").at(index), residuals, precisions.early)
        if index == 0:
            x = ov.add(x, _frequency_embedding(a, tensors))
        skips += [ov.convert(y, precisions.products) for y in (x, wave)]
        x = ov.convert(x, precisions.products)
    outputs = transform(x, wave, tensors, a, precisions.products, precisions.sums)
    return openvino.Model([*outputs, *skips], [spectrum, mix], "encoding")


def _decoding(
    a: Architecture, tensors: Tensors, precisions: Precisions, inputs: list[Any]
) -> openvino.Model:
    parameters = [
        opset15.parameter(list(output.get_shape()), output.get_element_type()) for output in inputs
    ]
    x, wave, *skips = parameters
    type_ = precisions.products
    residuals = a.dconv_depth if a.has_decoder_residuals else 0
    lengths = list(zip(a.bin_counts, a.sample_counts, strict=True))
    for index in range(a.depth):
        bins, samples = lengths[a.depth - 1 - index]
        wave_skip, skip = skips.pop(), skips.pop()
        is_last = index == a.depth - 1
        x = decode(
            x, skip, tensors.at("decoder").at(index), residuals, bins, type_, is_last=is_last
        )
        wave = decode(
            wave,
            wave_skip,
            tensors.at("tdecoder").at(index),
            residuals,
            samples,
            type_,
            is_last=is_last,
        )
    by_source = ov.reshape(x, [a.frames, a.nfft // 2, -1, 2])
    spectra = ov.convert(ov.transpose(by_source, [2, 0, 1, 3]), ov.F32)
    waves = ov.transpose(ov.reshape(wave, ov.shape(wave)[1:]), [1, 0])
    return openvino.Model([spectra, ov.convert(waves, ov.F32)], parameters, "decoding")


def _frequency_embedding(a: Architecture, tensors: Tensors) -> Floats:
    """Return what demucs adds after the first encoder: [1, 1, bins, channels]."""
    weight = tensors.at("freq_emb").at("embedding")["weight"]
    embedding: Floats = a.freq_emb * a.emb_scale * weight
    return embedding[None, None]
