"""What the decoder finds out about a song while it decodes it."""

from dataclasses import dataclass, field

from functions.separate.audio.overs import Level
from microdemucs.audio_facts import AudioFacts

_EXACT_CODECS = ("pcm_", "flac", "alac", "wavpack")  # they keep every sample
# What a header may declare beyond the audio: an encoder's padding
_PADDING_S, _PADDING_SAMPLES = 0.06, 2_646
_VIDEO_LONGER_S = 0.5


@dataclass(slots=True)
class Findings:
    """AudioFacts, as far as they are known while the song is being decoded."""

    container: str = ""
    codec: str = ""
    sample_rate: int = 0
    channels: int = 0
    bits: int | None = None
    declared_seconds: float | None = None
    video_seconds: float = 0.0
    """Of a file with video: the longest of its streams."""
    seconds: float = 0.0
    silent_seconds: float = 0.0
    """Of `seconds`, silence in the place of damaged audio."""
    missing_seconds: float = 0.0
    ends_early: bool = False
    not_numbers: int = 0
    too_large: int = 0
    tags: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def is_exact(self) -> bool:
        """Whether the codec keeps every sample."""
        return self.codec.startswith(_EXACT_CODECS)

    def warn(self, text: str) -> None:
        """Add a warning, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def facts(self, level: Level) -> AudioFacts:
        """Return all that was found, when the song is decoded."""
        if self.not_numbers:
            self.warn(f"{self.not_numbers} samples are no numbers: they were replaced with silence")
        if self.too_large:
            self.warn(
                f"{self.too_large} samples are louder than audio can be: "
                "they were replaced with silence"
            )
        if self.missing_seconds >= 0.001:
            self.warn(f"{self.missing_seconds:.3f} s of audio could not be decoded")
        known = self.seconds - self.silent_seconds + self.missing_seconds
        early = (self.declared_seconds or 0) - known
        padding = max(_PADDING_S, _PADDING_SAMPLES / max(1, self.sample_rate))
        if early > padding or self.video_seconds - known > _VIDEO_LONGER_S:
            self.warn(f"it ends {max(early, self.video_seconds - known):.2f} s before it should")
        is_damaged = self.ends_early or self.missing_seconds > 0
        may_clip = not self.is_exact and self.channels <= 2
        is_clipped = may_clip and (level.is_rarely_over or (is_damaged and level.is_over))
        statistics = level.clipped if is_clipped else level.whole
        return AudioFacts(
            container=self.container,
            codec=self.codec,
            sample_rate=self.sample_rate,
            channels=self.channels,
            bits=self.bits,
            seconds=self.seconds - self.silent_seconds,
            missing_seconds=round(self.missing_seconds, 6),
            declared_seconds=self.declared_seconds,
            ends_early=self.ends_early,
            length=statistics.n,
            mean=statistics.mean,
            standard_deviation=statistics.standard_deviation,
            is_clipped=is_clipped,
            tags=self.tags,
            warnings=self.warnings,
        )
