"""Report campaigns by their timelines: a table in Markdown, and a picture in SVG. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from testing.faults.plan import COMPONENTS, Kind, Step

Events = list[dict[str, Any]]
"""The events of one timeline."""

_COLORS = {
    Kind.KILL: "#c0392b",
    Kind.PAUSE: "#2980b9",
    Kind.CUT: "#8e44ad",
    Kind.SLOW: "#d68910",
    Kind.FULL: "#27ae60",
}
_LEFT, _TOP, _ROW, _WIDTH, _GAP_S = 90, 46, 22, 1100, 20.0


def table(campaigns: Sequence[Events]) -> str:
    """Return how often which component had which fault, and what came of it."""
    begun = _all(campaigns, "fault begun")
    counts = Counter((event["component"], event["kind"]) for event in begun)
    header = ["component", *Kind, "all"]
    rows = [
        [
            component,
            *(str(counts[component, kind] or "") for kind in Kind),
            str(sum(counts[component, kind] for kind in Kind)),
        ]
        for component in COMPONENTS
    ]
    total = ["**all**", *(str(sum(counts[c, kind] for c in COMPONENTS)) for kind in Kind)]
    return "\n".join(
        [
            *_markdown([header, *rows, [*total, f"**{len(begun)}**"]]),
            "",
            *_markdown([["at a step", "faults", "step reached"], *_steps(begun)]),
            "",
            *_markdown([["what", "figure"], *_summary(campaigns)]),
        ]
    )


def last_round(events: Events) -> str:
    """Return the timeline of the last round, one line per event."""
    starts = [number for number, event in enumerate(events) if event["event"] == "round started"]
    lines = events[starts[-1] :] if starts else events
    return "\n".join(
        f"{event['at']:9.3f} {event['event']}: "
        + ", ".join(f"{k}={v}" for k, v in event.items() if k not in ("at", "event"))
        for event in lines
    )


def picture(campaigns: Sequence[Events]) -> str:
    """Return the timelines one after the other: a row per component, a bar per fault."""
    seconds = sum(_length(events) + _GAP_S for events in campaigns)
    scale = _WIDTH / max(seconds, 1)
    rows_of = {component: _TOP + (2 + n) * _ROW for n, component in enumerate(COMPONENTS)}
    height = _TOP + (3 + len(COMPONENTS)) * _ROW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 20}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        *_legend(),
        _text(4, _TOP + _ROW, "songs"),
        *(_text(4, y + 4, component) for component, y in rows_of.items()),
        *(f'<path d="M{_LEFT} {y}h{_WIDTH}" stroke="#eee"/>' for y in rows_of.values()),
    ]
    before = 0.0
    for events in campaigns:
        parts += _draw(events, before, scale, rows_of, height)
        before += _length(events) + _GAP_S
    parts.append(_text(_LEFT, height - 6, "0"))
    parts.append(_text(_LEFT + _WIDTH - 60, height - 6, f"{seconds / 60:.0f} min"))
    return "\n".join([*parts, "</svg>", ""])


def _draw(
    events: Events, before: float, scale: float, rows_of: dict[str, int], height: int
) -> Iterable[str]:
    open_faults: dict[tuple[str, str], float] = {}
    for event in events:
        x = _LEFT + (before + event["at"]) * scale
        match event["event"]:
            case "song accepted":
                yield f'<path d="M{x:.1f} {_TOP + _ROW - 9}v9" stroke="#555"/>'
            case "round held":
                yield f'<path d="M{x:.1f} {_TOP + 6}V{height - _ROW}" stroke="#cde8d3"/>'
            case "violation":
                yield f'<path d="M{x:.1f} {_TOP}V{height - _ROW}" stroke="red" stroke-width="2"/>'
            case "fault begun":
                open_faults[event["component"], event["kind"]] = x
            case "fault ended":
                begin = open_faults.pop((event["component"], event["kind"]), x)
                yield (
                    f'<rect x="{begin:.1f}" y="{rows_of[event["component"]] - 7}" height="14"'
                    f' width="{max(x - begin, 1.0):.1f}" fill="{_COLORS[Kind(event["kind"])]}"/>'
                )


def _legend() -> Iterable[str]:
    x = _LEFT
    for kind, color in _COLORS.items():
        yield f'<rect x="{x}" y="12" width="14" height="14" fill="{color}"/>'
        yield _text(x + 20, 24, kind)
        x += 90
    yield f'<path d="M{x} 12v14" stroke="#8fce9f" stroke-width="2"/>'
    yield _text(x + 8, 24, "a round that held")
    yield f'<path d="M{x + 140} 12v14" stroke="red" stroke-width="2"/>'
    yield _text(x + 148, 24, "a violation")


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x}" y="{y}">{escape(text)}</text>'


def _summary(campaigns: Sequence[Events]) -> list[list[str]]:
    held, songs = _all(campaigns, "round held"), _all(campaigns, "song accepted")
    quiet = sorted(event["seconds"] for event in held)
    started = _all(campaigns, "campaign started")
    skipped = {event["skipped"] for event in started if event["skipped"]}
    return [
        ["seeds", ", ".join(str(event["seed"]) for event in started)],
        ["faults", str(len(_all(campaigns, "fault begun")))],
        ["rounds that held", str(len(held))],
        ["violations", str(len(_all(campaigns, "violation")))],
        ["songs", str(len(songs))],
        ["requests of clients for them", str(sum(event["attempts"] for event in songs))],
        ["deliveries", str(sum(_last_deliveries(events) for events in campaigns))],
        [
            "seconds until everything was done after a round: median, most",
            f"{quiet[len(quiet) // 2]:.0f}, {quiet[-1]:.0f}" if quiet else "",
        ],
        ["minutes", f"{sum(map(_length, campaigns)) / 60:.0f}"],
        ["kinds of faults skipped because", "; ".join(sorted(skipped)) or "none"],
    ]


def _steps(begun: Events) -> list[list[str]]:
    rows = []
    for step in Step:
        faults = [event for event in begun if event["step"] == step]
        reached = sum(event["step_reached"] for event in faults)
        rows.append([step, str(len(faults)), str(reached)])
    return rows


def _all(campaigns: Iterable[Events], name: str) -> Events:
    return [event for events in campaigns for event in events if event["event"] == name]


def _last_deliveries(events: Events) -> int:
    return max((event["deliveries"] for event in _all([events], "round held")), default=0)


def _length(events: Events) -> float:
    return float(events[-1]["at"]) if events else 0.0


def _markdown(rows: list[list[str]]) -> list[str]:
    header, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return [header, "|" + "---|" * len(rows[0]), *body]
