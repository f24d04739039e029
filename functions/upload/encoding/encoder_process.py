"""The child process that mixes and encodes. Its input is a Task; the result is its output.

It decodes objects of the bucket of stems, which are our own unless somebody has put others there.
If FFmpeg crashes on one, or needs too much, only this process ends.
"""

import errno
import os
import resource
import sys

import msgspec

from functions.upload.encoding.mix_file import write_flac, write_mp3
from functions.upload.encoding.mix_graph import mix_blocks
from functions.upload.encoding.stem_file import write_stem_file
from functions.upload.encoding.stem_source import StemSource, UnreadableStem
from functions.upload.encoding.task import DISK_FULL, UNREADABLE, Output, Task

_MAX_MEMORY_BYTES = 1 << 30
_NICENESS = 5  # requests that only wait for the store go first


def main() -> None:
    """Make what the task asks for."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    _limit(task)
    try:
        _run(task)
    except UnreadableStem as error:
        sys.exit(_report(error))
    except OSError as error:
        sys.exit(DISK_FULL if error.errno == errno.ENOSPC else 1)


def _limit(task: Task) -> None:
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (task.cpu_seconds, task.cpu_seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (task.max_bytes, task.max_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _run(task: Task) -> None:
    files = [open(source.fd, "rb") for source in task.sources]  # noqa: SIM115 (until the end)
    sources = [
        StemSource(file, source.format) for file, source in zip(files, task.sources, strict=True)
    ]
    lengths = [source.length for source in sources]
    length = max(filter(None, lengths)) if all(lengths) else None
    gains = [source.gains for source in task.sources]
    if task.output == Output.STEM_FILE:
        with open(1, "w+b", closefd=False) as file:
            write_stem_file(sources, [source.track for source in task.sources], task.tags, file)
        return
    with open(1, "wb", closefd=False) as output:
        if task.output == Output.MP3:
            write_mp3(mix_blocks(sources, gains, "s16p"), length, task.tags, output)
        else:
            sample_format = "s16" if task.bits == 16 else "s32"
            blocks = mix_blocks(sources, gains, sample_format)
            write_flac(blocks, length, task.bits, task.tags, output)


def _report(error: UnreadableStem) -> int:
    print(error, file=sys.stderr)
    return UNREADABLE


if __name__ == "__main__":
    main()
