"""The formats that songs may have: one list for the bus, the API, the page and the decoder."""

from typing import NamedTuple


class Format(NamedTuple):
    """A format: its name, FFmpeg's name of the container, and how files and requests name it."""

    name: str
    container: str
    suffixes: tuple[str, ...]
    content_types: tuple[str, ...]


FORMATS = (
    Format("MP3", "mp3", (".mp3", ".mp2", ".mpga"), ("audio/mpeg", "audio/mp3")),
    Format("WAV", "wav", (".wav", ".wave", ".bwf", ".rf64"), ("audio/wav", "audio/x-wav")),
    Format("Wave64", "w64", (".w64",), ("audio/x-w64",)),
    Format("FLAC", "flac", (".flac",), ("audio/flac", "audio/x-flac")),
    Format(
        "MP4",
        "mov",
        (".m4a", ".m4b", ".mp4", ".m4v", ".mov", ".3gp"),
        ("audio/mp4", "audio/x-m4a", "video/mp4", "video/quicktime"),
    ),
    Format("AAC", "aac", (".aac", ".adts"), ("audio/aac", "audio/aacp")),
    Format("Ogg", "ogg", (".ogg", ".oga", ".opus"), ("audio/ogg", "audio/opus", "application/ogg")),
    Format("AIFF", "aiff", (".aif", ".aiff", ".aifc"), ("audio/aiff", "audio/x-aiff")),
    Format("CAF", "caf", (".caf",), ("audio/x-caf",)),
    Format("WMA", "asf", (".wma", ".asf"), ("audio/x-ms-wma", "video/x-ms-asf")),
    Format(
        "Matroska and WebM",
        "matroska",
        (".mka", ".mkv", ".webm", ".weba"),
        ("audio/webm", "audio/x-matroska", "video/webm", "video/x-matroska"),
    ),
    Format("WavPack", "wv", (".wv",), ("audio/x-wavpack",)),
)

SUFFIXES = tuple(suffix for format_ in FORMATS for suffix in format_.suffixes)
CONTENT_TYPES = tuple(type_ for format_ in FORMATS for type_ in format_.content_types)
FFMPEG_CONTAINERS = tuple(format_.container for format_ in FORMATS)
NAMES = tuple(format_.name for format_ in FORMATS)

CODECS = (
    *("mp3float", "mp3", "mp2float", "mp2", "mp1float", "mp1"),
    *("aac", "alac", "flac", "wavpack"),
    *("vorbis", "opus", "libopus", "speex"),
    *("ac3", "eac3", "dca", "mlp", "truehd", "amrnb", "amrwb"),
    *("wmav1", "wmav2", "wmapro", "wmalossless", "wmavoice"),
    *("adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt", "adpcm_yamaha", "adpcm_swf"),
    *("pcm_u8", "pcm_s8", "pcm_alaw", "pcm_mulaw"),
    *("pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"),
    *("pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32be", "pcm_f64be"),
)
"""FFmpeg's names of the decoders that a song may need, in any of the containers."""

UNRELATED_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".svg", ".ico"),
    *(".txt", ".md", ".rtf", ".pdf", ".doc", ".docx", ".xls", ".xlsx", ".csv", ".html", ".htm"),
    *(".json", ".xml", ".yaml", ".yml", ".log", ".nfo", ".cue", ".m3u", ".m3u8", ".pls", ".lrc"),
    *(".zip", ".rar", ".7z", ".gz", ".tar", ".ini", ".db", ".url", ".lnk", ".plist", ".asd"),
    *(".mid", ".midi", ".als", ".logicx", ".ptx", ".flp", ".sfk", ".pkf", ".reapeaks"),
    *(".part", ".crdownload", ".tmp", ".download"),
)
UNRELATED_NAMES = (".ds_store", "thumbs.db", "desktop.ini")


def is_unrelated(key: str, content_type: str) -> bool:
    """Whether an object is clearly no song: a folder, a picture, a text, a file of a system.

    Every other object is separated or gets a failure.json. An audio content type always counts.
    """
    name = key.rsplit("/", 1)[-1].lower()
    if not name:
        return True
    if content_type.lower().startswith("audio/"):
        return False
    return (
        name.endswith(UNRELATED_SUFFIXES)
        or name in UNRELATED_NAMES
        or name.startswith("._")  # what macOS keeps beside a file
    )
