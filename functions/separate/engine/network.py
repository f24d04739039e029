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
from functions.separate.engine.branches import Decoder, Encoder, NotExportable
from functions.separate.engine.transformer import Transformer, is_cross


class Network(nn.Module):
    """Spectrogram [channels, frames, bins, 2] and mix [1, samples, channels], both normalised →
    spectrograms [sources * channels, frames, bins, 2], waves [sources * channels, samples].
    """

    rows: Tensor

    def __init__(self, original: HTDemucs) -> None:
        """Raises NotExportable."""
        super().__init__()
        _refuse_others(original)
        model: Any = copy.deepcopy(original)
        self.samples = int(model.segment * SAMPLE_RATE)
        self.bins = model.nfft // 2
        self.channels = model.audio_channels
        self.encoders = nn.ModuleList(Encoder(one) for one in model.encoder)
        self.wave_encoders = nn.ModuleList(Encoder(one) for one in model.tencoder)
        self.decoders = nn.ModuleList(Decoder(one) for one in model.decoder)
        self.wave_decoders = nn.ModuleList(Decoder(one) for one in model.tdecoder)
        frames = math.ceil(self.samples / model.hop_length)
        steps = self.samples
        for one in model.tencoder:
            steps = math.ceil(steps / one.stride)
        rows = self.bins // math.prod(one.stride for one in model.encoder)
        self.transformer = Transformer(model, frames, rows, steps)
        self.register_buffer("rows", _rows(model))

    def forward(self, spectrum: Tensor, mix: Tensor) -> tuple[Tensor, Tensor]:
        """Shapes: see the class."""
        frames = spectrum.shape[1]
        x = spectrum.permute(1, 2, 0, 3).reshape(1, frames, self.bins, 2 * self.channels)
        wave = mix
        kept, lengths = [], []
        for index, (encode, encode_wave) in enumerate(
            zip(self.encoders, self.wave_encoders, strict=True)
        ):
            lengths.append((x.shape[2], wave.shape[1]))
            x, wave = encode(x), encode_wave(wave)
            if index == 0:
                x = x + self.rows
            kept.append((x, wave))
        x, wave = self.transformer(x, wave)
        for decode, decode_wave in zip(self.decoders, self.wave_decoders, strict=True):
            (skip, wave_skip), (bins, samples) = kept.pop(), lengths.pop()
            x, wave = decode(x, skip, bins), decode_wave(wave, wave_skip, samples)
        spectra = x.reshape(frames, self.bins, -1, 2).permute(2, 0, 1, 3)
        return spectra, wave[0].transpose(0, 1)


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
