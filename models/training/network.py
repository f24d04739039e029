"""The arguments of the small network: HTDemucs with a third of the channels, 3.9 s segments."""

from fractions import Fraction

SOURCES = ["drums", "bass", "other", "vocals"]
RATE = 44_100
SEGMENT = Fraction(39, 10)

ARGUMENTS = {
    "sources": SOURCES,
    "audio_channels": 2,
    "channels": 16,
    "growth": 2,
    "nfft": 4096,
    "depth": 4,
    "t_layers": 2,
    "t_heads": 4,
    "t_hidden_scale": 2.0,
    "bottom_channels": 128,
    "dconv_mode": 0,
    "dconv_comp": 8,
    "samplerate": RATE,
    "segment": SEGMENT,
    "t_dropout": 0.0,
    "wiener_iters": 0,
}
