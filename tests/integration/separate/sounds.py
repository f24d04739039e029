"""Songs made on the spot: a known signal, in any format."""

import io

import av
import numpy as np
import soundfile


def music(seconds: float, rate: int = 44_100, channels: int = 2, seed: int = 0) -> np.ndarray:
    """[n, channels] float32: chords, a pulse and some noise; never the same in both channels."""
    t = np.arange(round(seconds * rate)) / rate
    rng = np.random.default_rng(seed)
    sides = []
    for side in range(2):
        chord = sum(np.sin(2 * np.pi * f * (1 + seed / 50) * t + side) for f in (110, 277, 415))
        pulse = np.exp(-20 * (t % 0.5)) * rng.standard_normal(len(t))
        sides.append(0.15 * chord + 0.1 * pulse)
    return np.stack(sides[:channels], 1).astype(np.float32)


def file(samples: np.ndarray, rate: int = 44_100, kind: str = "WAV", subtype: str = "") -> bytes:
    """`samples` [n, channels] as libsndfile writes them."""
    made = io.BytesIO()
    soundfile.write(made, samples, rate, subtype=subtype or None, format=kind)
    return made.getvalue()


def encoded(samples: np.ndarray, rate: int, container: str, codec: str) -> bytes:
    """`samples` [n, 1 or 2] as FFmpeg writes them."""
    made = io.BytesIO()
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    with av.open(made, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        context = stream.codec_context
        context.open()
        fifo, at = av.AudioFifo(), 0
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), "fltp", layout)
        frame.sample_rate = rate
        for part in av.AudioResampler(context.format, layout, rate).resample(frame):
            part.pts = None
            fifo.write(part)
        while fifo.samples:
            part = fifo.read(min(fifo.samples, context.frame_size or 1024))
            part.pts, at = at, at + part.samples
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return made.getvalue()


def decibels(wrong: np.ndarray, right: np.ndarray) -> float:
    """How far below the signal `right` the error is."""
    error, signal = np.sqrt(np.mean((wrong - right) ** 2)), np.sqrt(np.mean(right**2))
    return 20 * np.log10((error + 1e-20) / (signal + 1e-20))
