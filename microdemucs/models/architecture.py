"""The arguments of demucs.htdemucs.HTDemucs (demucs 4.1) that decide how the network is built."""

import math
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

from microdemucs.models import SAMPLE_RATE, CannotBuild
from microdemucs.models.weights_header import NetworkHeader

CLASS = "demucs.htdemucs.HTDemucs"

# Arguments for which only one value can be built, with its meaning.
_FIXED: dict[str, tuple[Any, str]] = {
    "audio_channels": (2, "stereo"),
    "cac": (True, "complex numbers as channels"),
    "rewrite": (True, "a gate in every encoder and decoder"),
    "multi_freqs": (None, "the same layers for all frequencies"),
    "t_emb": ("sin", "sinusoidal positions"),
    "t_sin_random_shift": (0, "positions that do not move"),
    "t_norm_in": (True, "a norm before the transformer"),
    "t_group_norm": (False, "layer norms in the transformer"),
    "t_norm_first": (True, "norms before attention"),
    "t_gelu": (True, "GELU in the transformer"),
    "t_sparse_self_attn": (False, "dense attention"),
    "t_sparse_cross_attn": (False, "dense attention"),
    "samplerate": (SAMPLE_RATE, "44.1 kHz"),
    "use_train_segment": (True, "segments of the length of training"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """HTDemucs' arguments, with the class's defaults. `segment` is in seconds."""

    sources: tuple[str, ...]
    channels: int = 48
    channels_time: int | None = None
    growth: float = 2
    nfft: int = 4096
    depth: int = 4
    freq_emb: float = 0.2
    emb_scale: float = 10
    kernel_size: int = 8
    stride: int = 4
    norm_starts: int = 4
    dconv_mode: int = 1
    dconv_depth: int = 2
    bottom_channels: int = 0
    t_layers: int = 5
    t_heads: int = 8
    t_norm_out: bool = True
    t_max_period: float = 10_000.0
    t_layer_scale: bool = True
    t_weight_pos_embed: float = 1.0
    t_cross_first: bool = False
    segment: Fraction = Fraction(10)

    @property
    def samples(self) -> int:
        """The length of a segment in samples."""
        return int(self.segment * SAMPLE_RATE)

    @property
    def frames(self) -> int:
        """The number of frames of a segment's spectrogram."""
        return math.ceil(self.samples / (self.nfft // 4))

    @property
    def bin_counts(self) -> list[int]:
        """The numbers of frequency bins before the first and after each encoder."""
        return [self.nfft // 2 // self.stride**index for index in range(self.depth + 1)]

    @property
    def sample_counts(self) -> list[int]:
        """The numbers of samples before the first and after each encoder of the wave."""
        counts = [self.samples]
        for _ in range(self.depth):
            counts.append(math.ceil(counts[-1] / self.stride))
        return counts

    @property
    def has_encoder_residuals(self) -> bool:
        """Whether the encoders have residual branches."""
        return bool(self.dconv_mode & 1)

    @property
    def has_decoder_residuals(self) -> bool:
        """Whether the decoders have residual branches."""
        return bool(self.dconv_mode & 2)

    def is_cross(self, layer: int) -> bool:
        """Whether this layer of the transformer attends to the other branch."""
        return layer % 2 != int(self.t_cross_first)


def read_architecture(network: NetworkHeader) -> Architecture:
    """Return the architecture of a network. Raises CannotBuild with the reason."""
    if network.class_name != CLASS:
        raise CannotBuild(f"{network.class_name.rpartition('.')[2]} is not HTDemucs")
    arguments = dict(
        zip(("sources", "audio_channels", "channels"), network.positional, strict=False)
    )
    arguments |= network.keywords
    for name, (accepted, meaning) in _FIXED.items():
        found = arguments.get(name, accepted)
        if found != accepted:
            raise CannotBuild(f"its {name} is {found!r}; only {accepted!r} can be built: {meaning}")
    known = {field.name for field in fields(Architecture)}
    chosen = {name: value for name, value in arguments.items() if name in known}
    try:
        chosen["sources"] = tuple(chosen["sources"])
        chosen["segment"] = Fraction(chosen.get("segment", 10)).limit_denominator(SAMPLE_RATE)
        architecture = Architecture(**chosen)
    except (KeyError, TypeError, ValueError) as error:
        raise CannotBuild(f"its arguments cannot be read: {error}") from error
    _require_plain_encoders(architecture)
    return architecture


def _require_plain_encoders(architecture: Architecture) -> None:
    a = architecture
    if a.kernel_size != 2 * a.stride or a.stride % 2:
        raise CannotBuild(f"its kernels of {a.kernel_size} are not twice an even stride")
    if a.norm_starts < a.depth:
        raise CannotBuild("its encoders have group norms")
    if a.nfft % 4 or a.nfft // 2 % a.stride**a.depth:
        raise CannotBuild(f"its {a.nfft // 2} bins cannot be divided by its strides")
    if a.bin_counts[-2] <= a.kernel_size:
        raise CannotBuild("its branches meet before the transformer")
    if not a.freq_emb:
        raise CannotBuild("it has no frequency embedding")
    if not a.t_layers:
        raise CannotBuild("it has no transformer")
    if int(a.t_norm_out) > 1:
        raise CannotBuild("its transformer's last norms have several groups")
