from typing import Any
from xml.etree import ElementTree

from testing.faults.plan import Kind
from testing.faults.report import last_round, picture, table

FAULT: dict[str, Any] = {
    "component": "separate",
    "process": "separate-2",
    "kind": "kill",
    "step": "uploading",
    "step_reached": True,
}
CAMPAIGN: list[dict[str, Any]] = [
    {"at": 0.0, "event": "campaign started", "seed": 5, "skipped": ""},
    {"at": 1.0, "event": "round started", "round": 1},
    {"at": 2.0, "event": "fault begun", **FAULT},
    {"at": 3.0, "event": "song accepted", "key": "a", "attempts": 2},
    {"at": 4.0, "event": "fault ended", **FAULT},
    {"at": 60.0, "event": "round held", "round": 1, "seconds": 9.0, "deliveries": 3},
]
VIOLATED = [
    *CAMPAIGN,
    {"at": 61.0, "event": "round started", "round": 2},
    {"at": 62.0, "event": "violation", "round": 2, "problems": "x"},
]


def rows(text: str) -> list[list[str]]:
    lines = (line for line in text.splitlines() if line.startswith("| "))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_counts_faults_by_component_and_kind() -> None:
    header, *body = rows(table([CAMPAIGN, CAMPAIGN]))
    separate = next(row for row in body if row[0] == "separate")
    assert separate[header.index(Kind.KILL)] == "2"
    assert separate[header.index("all")] == "2"


def test_the_table_counts_violations() -> None:
    assert ["violations", "1"] in rows(table([CAMPAIGN, VIOLATED]))


def test_the_table_says_how_often_a_step_was_reached() -> None:
    missed = [*CAMPAIGN, {"at": 60, "event": "fault begun", **FAULT, "step_reached": False}]
    assert ["uploading", "2", "1"] in rows(table([missed]))


def test_the_last_round_begins_with_its_start() -> None:
    assert last_round(VIOLATED).splitlines()[0].endswith("round started: round=2")


def test_the_picture_is_svg_with_a_bar_for_each_fault() -> None:
    root = ElementTree.fromstring(picture([CAMPAIGN, VIOLATED]))
    bars = [e for e in root.iter("{http://www.w3.org/2000/svg}rect") if e.get("height") == "14"]
    assert len(bars) == len(Kind) + 2  # the legend's, and the faults
