"""GET /apiv1/jobs/<id>/mix.<format>: the stems together, each with its volume and pan.

The mix is encoded while it is sent.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain

import flask

from functions.upload import connection, sharing
from functions.upload.context import context
from functions.upload.encoding.encoders import Order
from functions.upload.encoding.task import Gains, Output
from functions.upload.file_tags import read_tags
from functions.upload.finished_stems import FinishedStems, find_finished_stems
from functions.upload.jobs import attachment, download_name
from functions.upload.json_documents import bad_value, unknown_parameter
from functions.upload.stored_stem import StoredStem
from microdemucs.audio_tags import AudioTags
from microdemucs.plain_numbers import decimal_number

_TYPES = {Output.MP3: "audio/mpeg", Output.FLAC: "audio/flac"}
_MAX_VOLUME = 4.0  # 12 dB

routes = flask.Blueprint("mixes", __name__)


@routes.get("/apiv1/jobs/<id_>/mix.<format_>")
def get_mix(id_: str, format_: str) -> flask.Response:
    """Stream a mix of the job's stems as MP3 or FLAC."""
    ctx = context()
    if format_ not in list(_TYPES):
        raise bad_value("format", format_, " or ".join(_TYPES))
    output = Output(format_)
    found = find_finished_stems(ctx, id_)
    gains = read_gains([stem.entry.name for stem in found.stems], flask.request.args)
    response = flask.Response(mimetype=_TYPES[output])
    response.headers["Content-Disposition"] = attachment(
        download_name(found.job.key, f"mix.{output}")
    )
    response.headers["X-Accel-Buffering"] = "no"  # nginx would hold the stream back
    if flask.request.method == "HEAD":
        return response
    request = flask.request._get_current_object()  # type: ignore[attr-defined]
    order = make_order(output, found, gains, read_tags(ctx, found, describe_mix(gains)))
    with ExitStack() as stack:
        encoding = ctx.encoders.start(ctx.stems, order)
        stack.callback(encoding.close)
        # Without something to send, the server would not notice that the client has left.
        chunks = encoding.chunks(partial(connection.ensure_connected, request))
        first = next(chunks, b"")  # before it is sent, an error can still be a problem document
        response.response = chain([first], chunks)
        response.call_on_close(stack.pop_all().close)
    return response


def make_order(
    output: Output, found: FinishedStems, gains: Mapping[str, Gains], tags: AudioTags
) -> Order:
    """Return what to mix."""
    audible = [stem for stem in found.stems if gains[stem.entry.name] != _SILENT]
    audible = audible or found.stems[:1]  # of silent stems only the length matters
    return Order(
        output,
        audible,
        [gains[stem.entry.name] for stem in audible],
        found.manifest.song.seconds,
        bits=_bits(audible, found.manifest.options.get("bits")),
        tags=tags,
    )


def describe_mix(gains: Mapping[str, Gains]) -> str:
    """Return what a title says of a mix: which stems it has, or which few it is without."""
    silent = [name for name, gain in gains.items() if gain == _SILENT]
    audible = [name for name in gains if name not in silent]
    if not silent or not audible:
        return "mix"
    if len(silent) <= len(audible):
        return f"without {' and '.join(silent)}"
    return " and ".join(audible)


def read_gains(names: Sequence[str], parameters: Mapping[str, str]) -> dict[str, Gains]:
    """Return the gains of each stem: `<stem>` is its volume, `<stem>.pan` its pan.

    Raises Problem (422).
    """
    allowed = [parameter for name in names for parameter in (name, f"{name}.pan")]
    for parameter in parameters:
        if parameter not in allowed and parameter != sharing.PARAMETER:
            raise unknown_parameter(parameter, allowed)
    return {
        name: gains_of(
            _number(parameters, name, 1, 0, _MAX_VOLUME),
            _number(parameters, f"{name}.pan", 0, -1, 1),
        )
        for name in names
    }


def gains_of(volume: float, pan: float) -> Gains:
    """Return the gains of the page's mixer: those of StereoPannerNode (Web Audio API, 1.31)."""
    if pan == 0:
        return Gains(volume, 0.0, 0.0, volume)
    angle = ((pan + 1) if pan < 0 else pan) * math.pi / 2
    stay, cross = volume * math.sin(angle), volume * math.cos(angle)
    if pan < 0:
        return Gains(volume, cross, 0.0, stay)
    return Gains(cross, 0.0, stay, volume)


_SILENT = gains_of(0, 0)


def _number(
    parameters: Mapping[str, str], name: str, default: float, low: float, high: float
) -> float:
    text = parameters.get(name)
    if text is None:
        return default
    value = decimal_number(text.removeprefix("-"))
    if value is not None and text.startswith("-"):
        value = -value
    if value is None or not low <= value <= high:
        raise bad_value(name, text, f"a number from {low} to {high:g}")
    return value


def _bits(stems: Sequence[StoredStem], bits: object) -> int:
    """Return how many bits a FLAC needs to lose nothing that can be audible."""
    is_lossy = all(stem.entry.file.endswith(".mp3") for stem in stems)
    return 24 if bits in (24, 32) and not is_lossy else 16
