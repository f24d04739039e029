"""Where stems are written to: what StemWriter needs of it."""

from typing import BinaryIO, Protocol

from functions.separate.engine import SAMPLE_RATE
from microdemucs.peaks import Peaks

PART_BYTES = 5 * 1024**2
"""The least that S3 accepts for any part but the last, so that parts leave early and few bytes
are in memory."""
PREVIEW_INTERVAL = 20 * SAMPLE_RATE
"""Samples between two preview chunks: often enough to listen along, rare enough to cost little."""


class GrowingUpload(Protocol):
    """An object that is uploaded while its file grows."""

    @property
    def uploaded(self) -> int:
        """Up to which byte the file has been uploaded, but for its first part."""

    def grown(self, size: int) -> None:
        """Upload what can be uploaded of a file that has `size` bytes now."""

    def finish(self) -> int:
        """Make the complete file an object, and return its size in bytes."""

    def abort(self) -> None:
        """Remove what was uploaded. The upload may begin again."""


class GrowingPreview(Protocol):
    """What can be heard of a stem while its file grows."""

    @property
    def unread(self) -> int | None:
        """From which byte on the file is needed for the next chunks; None if there are none."""

    def grown(self, size: int, encoded: int) -> None:
        """Publish what is new in a file that has `size` bytes now, of `encoded` samples."""


class Destination(Protocol):
    """Where stems are written to, under their file names."""

    def stem_key(self, file_name: str) -> str:
        """Return the key of the stem with this file name."""

    def upload(self, key: str, content_type: str, file: BinaryIO) -> GrowingUpload:
        """Return an upload of `file`, which still grows, to `key`."""

    def preview(self, file_name: str, file: BinaryIO) -> GrowingPreview:
        """Return a preview of `file`, which still grows, under the stem's file name."""

    def write_peaks_preview(self, peaks: Peaks) -> None:
        """Publish columns of stems that still grow."""

    def write_peaks(self, document: bytes) -> str:
        """Write the peaks of all stems, and return their key."""
