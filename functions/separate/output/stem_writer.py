"""One stem on its way into the bucket: encoded, uploaded and to be heard while its blocks come."""

import os
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from functions.separate.audio.encoders import encoder, fitted, scale_of
from functions.separate.engine import Floats
from functions.separate.output.spool import Spool
from microdemucs.options import CONTENT_TYPES, Options

if TYPE_CHECKING:
    from functions.separate.output.stem_store import Document, StemStore

_BLOCK = 1 << 17  # samples
_ONE = np.float32(1)


class StemWriter:
    """A stem of `length` samples. Methods raise RetryLater, MemoryError, and OSError of a full disk.

    clip_mode `rescale` must know a stem's peak before its first sample can be written. So it is
    written as it is, and its samples are kept on disk: 353 kB a second. Where the peak turns out
    too high, the stem is `loud`, and has to be encoded again.
    """

    def __init__(
        self, shelf: "StemStore", name: str, options: Options, length: int, mp3_quality: int
    ) -> None:
        self.name = name
        self._options = options
        self._length = length
        self._quality = mp3_quality
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self._samples = Spool() if options.clip_mode == "rescale" else None
        self._type = CONTENT_TYPES[options.format]
        self._key = shelf.stem_key(f"{name}.{options.format}")
        self._upload = shelf.upload(self._key, self._type, self._file)
        self._pieces = shelf.pieces(f"{name}.{options.format}", self._file)
        self._begin()

    @property
    def scale(self) -> np.float32:
        """What the stem must be divided by, as far as it is known yet."""
        return _ONE if self._samples is None else scale_of(self._samples.peak)

    @property
    def is_loud(self) -> bool:
        """Whether what has been written is not as it must be."""
        return bool(self.scale != _ONE)

    def write(self, block: Floats) -> None:
        """[2, n] more, in order; nothing keeps `block`."""
        if self._samples is not None:
            self._samples.append(block)
        size = self._encode(block, _ONE)
        if self.is_loud:
            self._upload.abort()
        else:
            self._upload.grown(size)
        if self._encoded < self._length:
            self._pieces.grown(size, self._encoded)

    def write_again(self, check: Callable[[float], None]) -> None:
        """All of a loud stem anew. What `check(share)`, called now and then, raises ends it."""
        assert self._samples
        scale = self.scale
        self._file.seek(0)
        self._file.truncate()
        self._begin()
        for start in range(0, self._length, _BLOCK):
            check(start / self._length)
            block = self._samples.read(start, min(start + _BLOCK, self._length))
            self._upload.grown(self._encode(block, scale))

    def finish(self) -> "Document":
        """Make the object be there; what the manifest says of it."""
        size = self._upload.finish()
        said = {"name": self.name, "key": self._key, "size": size, "content_type": self._type}
        return said | ({"scale": round(float(1 / self.scale), 6)} if self.is_loud else {})

    def close(self) -> None:
        """Let go of the disk, and of an upload that was not finished."""
        self._upload.abort()
        self._file.close()
        if self._samples is not None:
            self._samples.close()

    def _begin(self) -> None:
        self._encoder = encoder(self._options, self._file, self._length, self._quality)
        self._encoded = 0

    def _encode(self, block: Floats, scale: np.float32) -> int:
        """How many bytes the file has with it."""
        self._encoder.write(fitted(block, self._options.clip_mode, scale))
        self._encoded += block.shape[-1]
        if self._encoded == self._length:
            self._encoder.close()
        self._file.flush()
        return os.fstat(self._file.fileno()).st_size
