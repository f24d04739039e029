"""HTDemucs' network, rewritten for a compiler: real numbers, channels last.

It computes the same sums as demucs.htdemucs.HTDemucs.forward (demucs 4.1) between the two
transforms, nearly all of them as matrix products, without copies from one memory layout to
another. Strided and transposed convolutions are products over blocks of samples, gates have their
own product, and a group norm after a product is computed from the product's input
(branches._ResidualLayer). It serves for export and inference only, not for training.
"""

import copy
import math
from typing import Any

import torch
from demucs.htdemucs import HTDemucs
from demucs.transformer import CrossTransformerEncoderLayer, MyTransformerEncoderLayer
from torch import Tensor, nn
from torch.nn import functional

from functions.separate.engine import SAMPLE_RATE
from functions.separate.engine.export.branches import Decoder, Encoder, NotExportable
from functions.separate.engine.export.transformer import Transformer, is_cross


class Network:
    """The network in two stages, which are compiled at the same time, so that a start is shorter.

    `encoding` ends with the transformer. `decoding` takes all outputs of `encoding`.
    """

    def __init__(self, original: HTDemucs) -> None:
        """Copy the network. Raises NotExportable."""
        _require_htdemucs(original)
        model: Any = copy.deepcopy(original)
        self.encoding = Encoding(model).eval().requires_grad_(False)
        self.decoding = Decoding(model).eval().requires_grad_(False)
        frames, samples = self.encoding.frames, self.encoding.samples
        self.example_inputs = (
            torch.zeros(model.audio_channels, frames, model.nfft // 2, 2),
            torch.zeros(1, samples, model.audio_channels),
        )


class Encoding(nn.Module):
    """The encoders and the transformer.

    Inputs, both normalized: spectrogram [channels, frames, bins, 2], mix [1, samples, channels].
    Outputs: the decoders' inputs [1, frames, bins', channels'] and [1, samples', channels'], then
    the outputs of each pair of encoders (spectrogram, wave), the first pair first.
    """

    frequency_embedding: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.samples = int(model.segment * SAMPLE_RATE)
        self.frames = math.ceil(self.samples / model.hop_length)
        # exporter.py finds delicate layers by the names encoders, wave_encoders and transformer
        self.encoders = nn.ModuleList(Encoder(layer) for layer in model.encoder)
        self.wave_encoders = nn.ModuleList(Encoder(layer) for layer in model.tencoder)
        bins, samples = (lengths[-1] for lengths in _lengths(model))
        self.transformer = Transformer(model, self.frames, bins, samples)
        self.register_buffer("frequency_embedding", _frequency_embedding(model))

    def forward(self, spectrum: Tensor, mix: Tensor) -> tuple[Tensor, ...]:
        """Shapes: see the class."""
        channels, frames, bins, _ = spectrum.shape
        x = spectrum.permute(1, 2, 0, 3).reshape(1, frames, bins, 2 * channels)
        wave = mix
        skips: list[Tensor] = []
        for index, (encode, encode_wave) in enumerate(
            zip(self.encoders, self.wave_encoders, strict=True)
        ):
            x, wave = encode(x), encode_wave(wave)
            if index == 0:
                x = x + self.frequency_embedding
            skips += [x, wave]
        return (*self.transformer(x, wave), *skips)


class Decoding(nn.Module):
    """The decoders.

    Inputs: the outputs of Encoding. Outputs: spectrograms [sources * channels, frames, bins, 2]
    and waves [sources * channels, samples].
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.decoders = nn.ModuleList(Decoder(layer) for layer in model.decoder)
        self.wave_decoders = nn.ModuleList(Decoder(layer) for layer in model.tdecoder)
        self.bins, self.samples = _lengths(model)

    def forward(self, x: Tensor, wave: Tensor, *skips: Tensor) -> tuple[Tensor, Tensor]:
        """Shapes: see the class."""
        frames, unused = x.shape[1], list(skips)
        lengths = zip(self.bins[-2::-1], self.samples[-2::-1], strict=True)
        for decode, decode_wave in zip(self.decoders, self.wave_decoders, strict=True):
            (bins, samples), wave_skip, skip = next(lengths), unused.pop(), unused.pop()
            x, wave = decode(x, skip, bins), decode_wave(wave, wave_skip, samples)
        spectra = x.reshape(frames, self.bins[0], -1, 2).permute(2, 0, 1, 3)
        return spectra, wave[0].transpose(0, 1)


def _lengths(model: Any) -> tuple[list[int], list[int]]:
    """Return the numbers of bins and of samples before the first and after each encoder."""
    bins, samples = [model.nfft // 2], [int(model.segment * SAMPLE_RATE)]
    for encoder, wave_encoder in zip(model.encoder, model.tencoder, strict=True):
        bins.append(bins[-1] // encoder.stride)
        samples.append(math.ceil(samples[-1] / wave_encoder.stride))
    return bins, samples


def _require_htdemucs(model: Any) -> None:
    """Raise NotExportable unless the network is built as htdemucs."""
    if not model.cac or model.audio_channels != 2 or model.freq_emb is None:
        raise NotExportable("its spectrogram is not that of htdemucs")
    transformer = model.crosstransformer
    if transformer is None or transformer.emb != "sin" or transformer.sin_random_shift:
        raise NotExportable("it has no transformer with sinusoidal positions")
    if len(model.encoder) != len(model.tencoder):
        raise NotExportable("its branches meet before the transformer")
    for layer in [*model.encoder, *model.tencoder, *model.decoder, *model.tdecoder]:
        is_plain = getattr(layer, "rewrite", None) is not None and layer.pad == layer.stride // 2
        norms = [getattr(layer, name, None) for name in ("norm1", "norm2")]
        if not is_plain or not all(isinstance(norm, nn.Identity) for norm in norms):
            raise NotExportable("its convolutions are not those of htdemucs")
    for layer in [*transformer.layers, *transformer.layers_t]:
        attention = layer.cross_attn if is_cross(layer) else layer.self_attn
        is_known = isinstance(layer, MyTransformerEncoderLayer | CrossTransformerEncoderLayer)
        is_dense = isinstance(attention, nn.MultiheadAttention)
        if not is_known or not layer.norm_first or not is_dense:
            raise NotExportable("its attention is sparse, or its norms come last")
        if layer.activation is not functional.gelu:
            raise NotExportable("its transformer does not use GELU")


def _frequency_embedding(model: Any) -> Tensor:
    """Return what demucs adds after the first encoder: [1, 1, bins, channels]."""
    bins = torch.arange(model.freq_emb.embedding.num_embeddings)
    embedding: Tensor = model.freq_emb_scale * model.freq_emb(bins)
    return embedding[None, None].detach().contiguous()
