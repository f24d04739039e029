"""Write one stem: encode, preview and upload it as its blocks come."""

import os
import tempfile

import numpy as np
from msgspec import UNSET

from functions.separate.audio.encoders import make_encoder, prevent_clipping, rescale_divisor
from functions.separate.audio.peak_meter import PeakMeter
from functions.separate.engine import Floats
from functions.separate.on_progress import OnProgress
from functions.separate.output.destination import PART_BYTES, Destination
from functions.separate.output.disk_space import free_space
from functions.separate.output.spool import Spool
from microdemucs.audio_tags import NO_TAGS, AudioTags
from microdemucs.manifest import StemEntry
from microdemucs.options import CONTENT_TYPES, Options

_BLOCK = 1 << 17  # samples
_ONE = np.float32(1)


class StemWriter:
    """A stem of `length` samples. `peaks` measures what is encoded of it.

    Methods raise RetryLater, MemoryError, and OSError if the disk is full.

    With clip_mode `rescale`, the stem's peak must be known before its first sample is final. So
    the stem is first encoded as it is, and its samples are kept on disk: 353 kB per second. If
    the peak turns out too high, the stem needs reencoding.

    Of the encoded file, only what is still needed takes disk space: its first part, what has not
    been uploaded, and what the preview has not published.
    """

    def __init__(
        self,
        destination: Destination,
        name: str,
        options: Options,
        length: int,
        mp3_quality: int,
        tags: AudioTags = NO_TAGS,
    ) -> None:
        self.name = name
        self._options = options
        self._length = length
        self._mp3_quality = mp3_quality
        self._tags = tags
        self._is_float = options.format == "wav" and options.bits == 32
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self._samples = Spool() if options.clip_mode == "rescale" else None
        self._content_type = CONTENT_TYPES[options.format]
        file_name = f"{name}.{options.format}"
        self._key = destination.stem_key(file_name)
        self._upload = destination.upload(self._key, self._content_type, self._file)
        self._preview = destination.preview(file_name, self._file)
        self.peaks = PeakMeter()
        self._start_encoder()

    @property
    def divisor(self) -> np.float32:
        """What the stem must be divided by, as far as its samples are known."""
        return _ONE if self._samples is None else rescale_divisor(self._samples.peak)

    @property
    def needs_reencoding(self) -> bool:
        """Whether the stem must be encoded again because it would clip."""
        return bool(self.divisor != _ONE)

    def write(self, block: Floats) -> None:
        """Encode the next [2, n] samples. `block` is not kept."""
        if self._samples is not None:
            self._samples.append(block)
        size = self._encode(block, _ONE)
        if self.needs_reencoding:
            self._upload.abort()
        else:
            self._upload.grown(size)
        if self._encoded < self._length:
            self._preview.grown(size, self._encoded)
            unread = self._preview.unread
            self._free_space(size if unread is None else unread)

    def reencode(self, on_progress: OnProgress) -> None:
        """Encode all of the stem again, divided by its divisor."""
        assert self._samples
        divisor = self.divisor
        self._file.seek(0)
        self._file.truncate()
        self._start_encoder()
        for start in range(0, self._length, _BLOCK):
            on_progress(start / self._length)
            block = self._samples.read(start, min(start + _BLOCK, self._length))
            self._upload.grown(self._encode(block, divisor))
            self._free_space(self._upload.uploaded)

    def finish(self) -> StemEntry:
        """Upload the rest of the stem, and return its entry in the manifest."""
        size = self._upload.finish()
        return StemEntry(
            self.name,
            self._key,
            size,
            self._content_type,
            scale=round(float(1 / self.divisor), 6) if self.needs_reencoding else UNSET,
            sample_rate=self._encoder.sample_rate,
        )

    def close(self) -> None:
        """Free the disk space, and abort an upload that is not finished."""
        self._upload.abort()
        self._file.close()
        if self._samples is not None:
            self._samples.close()

    def _start_encoder(self) -> None:
        self.peaks.restart()
        self._encoder = make_encoder(
            self._options, self._file, self._length, self._mp3_quality, self._tags
        )
        self._encoded = 0
        self._freed = PART_BYTES  # the first part is uploaded last

    def _free_space(self, needed_from: int) -> None:
        """Free the disk space of the encoded file before byte `needed_from`, if it is uploaded.

        A file that is encoded again from its beginning is not uploaded any more.
        """
        is_discarded = self.needs_reencoding and not self._upload.uploaded
        stop = needed_from if is_discarded else min(needed_from, self._upload.uploaded)
        if stop - self._freed >= PART_BYTES:
            free_space(self._file, self._freed, stop)
            self._freed = stop

    def _encode(self, block: Floats, divisor: np.float32) -> int:
        """Encode the block and return the size of the file in bytes."""
        mode = self._options.clip_mode
        samples = prevent_clipping(block, mode, divisor, is_float=self._is_float)
        self._encoder.write(samples)
        self._encoded += block.shape[-1]
        is_last = self._encoded == self._length
        self.peaks.add(samples, is_last=is_last)
        if is_last:
            self._encoder.close()
        self._file.flush()
        return os.fstat(self._file.fileno()).st_size
