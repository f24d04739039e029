"""HTDemucs' network as a compiler for processors wants it: real numbers, channels last.

The same sums as demucs.htdemucs.HTDemucs (4.1) between its two transforms, said otherwise: nearly
all of it becomes products of matrices, without a copy from one memory layout to another. Strided
and transposed convolutions are products over blocks of samples; gates have their own product; a
group norm after a product is computed from what goes into the product (branches._Residual). It
is for inference and for export only.
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
    """The network in two parts, which are compiled side by side, so that a start waits less.

    `encoding` reaches through the transformer, `decoding` takes all that it gives.
    """

    def __init__(self, original: HTDemucs) -> None:
        """Raises NotExportable."""
        _refuse_others(original)
        model: Any = copy.deepcopy(original)
        self.encoding = Encoding(model).eval().requires_grad_(False)
        self.decoding = Decoding(model).eval().requires_grad_(False)
        frames, samples = self.encoding.frames, self.encoding.samples
        self.like = (
            torch.zeros(model.audio_channels, frames, model.nfft // 2, 2),
            torch.zeros(1, samples, model.audio_channels),
        )
        """Inputs of the right shapes."""


class Encoding(nn.Module):
    """Spectrogram [channels, frames, bins, 2] and mix [1, samples, channels], both normalised →
    what the decoders start from, [1, frames, bins', channels'] and [1, samples', channels'], and
    what each pair of encoders gave, the first pair's first.
    """

    rows: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.samples = int(model.segment * SAMPLE_RATE)
        self.frames = math.ceil(self.samples / model.hop_length)
        self.encoders = nn.ModuleList(Encoder(one) for one in model.encoder)
        self.wave_encoders = nn.ModuleList(Encoder(one) for one in model.tencoder)
        rows, steps = (lengths[-1] for lengths in _lengths(model))
        self.transformer = Transformer(model, self.frames, rows, steps)
        self.register_buffer("rows", _rows(model))

    def forward(self, spectrum: Tensor, mix: Tensor) -> tuple[Tensor, ...]:
        """Shapes: see the class."""
        channels, frames, bins, _ = spectrum.shape
        x = spectrum.permute(1, 2, 0, 3).reshape(1, frames, bins, 2 * channels)
        wave = mix
        kept: list[Tensor] = []
        for index, (encode, encode_wave) in enumerate(
            zip(self.encoders, self.wave_encoders, strict=True)
        ):
            x, wave = encode(x), encode_wave(wave)
            if index == 0:
                x = x + self.rows
            kept += [x, wave]
        return (*self.transformer(x, wave), *kept)


class Decoding(nn.Module):
    """What Encoding gives →
    spectrograms [sources * channels, frames, bins, 2], waves [sources * channels, samples].
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.decoders = nn.ModuleList(Decoder(one) for one in model.decoder)
        self.wave_decoders = nn.ModuleList(Decoder(one) for one in model.tdecoder)
        self.bins, self.samples = _lengths(model)

    def forward(self, x: Tensor, wave: Tensor, *kept: Tensor) -> tuple[Tensor, Tensor]:
        """Shapes: see the class."""
        frames, skips = x.shape[1], list(kept)
        finer = zip(self.bins[-2::-1], self.samples[-2::-1], strict=True)
        for decode, decode_wave in zip(self.decoders, self.wave_decoders, strict=True):
            (bins, samples), wave_skip, skip = next(finer), skips.pop(), skips.pop()
            x, wave = decode(x, skip, bins), decode_wave(wave, wave_skip, samples)
        spectra = x.reshape(frames, self.bins[0], -1, 2).permute(2, 0, 1, 3)
        return spectra, wave[0].transpose(0, 1)


def _lengths(model: Any) -> tuple[list[int], list[int]]:
    """How many bins and samples there are before the first encoders and after each pair."""
    bins, samples = [model.nfft // 2], [int(model.segment * SAMPLE_RATE)]
    for one, wave in zip(model.encoder, model.tencoder, strict=True):
        bins.append(bins[-1] // one.stride)
        samples.append(math.ceil(samples[-1] / wave.stride))
    return bins, samples


def _refuse_others(model: Any) -> None:
    if not model.cac or model.audio_channels != 2 or model.freq_emb is None:
        raise NotExportable("its spectrogram is not that of htdemucs")
    transformer = model.crosstransformer
    if transformer is None or transformer.emb != "sin" or transformer.sin_random_shift:
        raise NotExportable("it has no transformer with sinusoidal positions")
    if len(model.encoder) != len(model.tencoder):
        raise NotExportable("its branches meet before the transformer")
    for one in [*model.encoder, *model.tencoder, *model.decoder, *model.tdecoder]:
        plain = getattr(one, "rewrite", None) is not None and one.pad == one.stride // 2
        norms = [getattr(one, name, None) for name in ("norm1", "norm2")]
        if not plain or not all(isinstance(norm, nn.Identity) for norm in norms):
            raise NotExportable("its convolutions are not those of htdemucs")
    for one in [*transformer.layers, *transformer.layers_t]:
        attention = one.cross_attn if is_cross(one) else one.self_attn
        kind = isinstance(one, MyTransformerEncoderLayer | CrossTransformerEncoderLayer)
        if not kind or not one.norm_first or not isinstance(attention, nn.MultiheadAttention):
            raise NotExportable("its attention is sparse, or its norms come last")
        if one.activation is not functional.gelu:
            raise NotExportable("its transformer does not use GELU")


def _rows(model: Any) -> Tensor:
    """What is added to each row of frequencies after the first encoder: [1, 1, rows, channels]."""
    rows = torch.arange(model.freq_emb.embedding.num_embeddings)
    added: Tensor = model.freq_emb_scale * model.freq_emb(rows)
    return added[None, None].detach().contiguous()
