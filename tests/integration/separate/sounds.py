"""Make songs: a known signal, in any format."""

import io
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt
import soundfile
from av.audio.stream import AudioStream

Samples = npt.NDArray[np.float32]


def music(seconds: float, rate: int = 44_100, channels: int = 2, seed: int = 0) -> Samples:
    """Return [n, channels]: chords, a pulse and some noise; never the same in both channels."""
    t = np.arange(round(seconds * rate)) / rate
    rng = np.random.default_rng(seed)
    sides = []
    for side in range(2):
        chord = sum(np.sin(2 * np.pi * f * (1 + seed / 50) * t + side) for f in (110, 277, 415))
        pulse = np.exp(-20 * (t % 0.5)) * rng.standard_normal(len(t))
        sides.append(0.15 * chord + 0.1 * pulse)
    return np.stack(sides[:channels], 1).astype(np.float32)


def file(samples: Samples, rate: int = 44_100, kind: str = "WAV", subtype: str = "") -> bytes:
    """Return `samples` [n, channels] as libsndfile writes them."""
    written = io.BytesIO()
    soundfile.write(written, samples, rate, subtype=subtype or None, format=kind)
    return written.getvalue()


def read(data: bytes) -> Samples:
    """Return the samples [n, channels] of a WAV or FLAC file."""
    samples: Samples = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0]
    return samples


def encoded(samples: Samples, rate: int, container: str, codec: str) -> bytes:
    """Return `samples` [n, 1 or 2] as FFmpeg writes them."""
    written = io.BytesIO()
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    with av.open(written, "w", format=container) as output:
        stream = cast(AudioStream, output.add_stream(codec, rate=rate, layout=layout))
        context: Any = stream.codec_context
        if codec.startswith("wma"):
            context.bit_rate = 192_000
        context.open()
        fifo, position = av.AudioFifo(), 0
        whole = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), "fltp", layout)
        whole.sample_rate = rate
        for resampled in av.AudioResampler(context.format, layout, rate).resample(whole):
            resampled.pts = None
            fifo.write(resampled)
        while fifo.samples:
            frame = fifo.read(min(fifo.samples, context.frame_size or 1024))
            assert frame
            frame.pts, position = position, position + frame.samples
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return written.getvalue()


def video(samples: Samples, container: str, codec: str, rate: int = 44_100) -> bytes:
    """Return a video of 25 frames a second, with `samples` [n, 2] as its audio."""
    written = io.BytesIO()
    with av.open(written, "w", format=container) as output:
        pictures: Any = output.add_stream("mpeg4", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
        audio: Any = output.add_stream(codec, rate=rate, layout="stereo")
        audio.codec_context.open()
        whole = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), "fltp", "stereo")
        whole.sample_rate = rate
        fifo, position = av.AudioFifo(), 0
        for resampled in av.AudioResampler(audio.format, "stereo", rate).resample(whole):
            resampled.pts = None
            fifo.write(resampled)
        for number in range(int(len(samples) / rate * 25)):
            picture = av.VideoFrame(64, 64, "yuv420p")
            picture.pts = number
            output.mux(pictures.encode(picture))
            while fifo.samples and position < (number + 1) * rate / 25:
                frame = fifo.read(min(fifo.samples, audio.codec_context.frame_size or 1024))
                assert frame
                frame.pts, position = position, position + frame.samples
                output.mux(audio.encode(frame))
        output.mux(audio.encode(None))
        output.mux(pictures.encode(None))
    return written.getvalue()


def decibels(wrong: npt.NDArray[Any], right: npt.NDArray[Any]) -> float:
    """Return how far below the signal `right` the error is."""
    error, signal = np.sqrt(np.mean((wrong - right) ** 2)), np.sqrt(np.mean(right**2))
    return float(20 * np.log10((error + 1e-20) / (signal + 1e-20)))
