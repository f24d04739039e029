from typing import Any

import pytest

from microdemucs.manifest import BadDocument
from microdemucs.models.catalogue import (
    BUNDLED_MODEL,
    Catalogue,
    Location,
    ModelEntry,
    ModelsRecord,
)
from microdemucs.models.description import OPENVINO, ModelFacts
from microdemucs.options import BadOption, Options

FACTS = ModelFacts(sources=["drums", "vocals"], segment=7.8, max_segment=7.8, networks=1)


def entry(name: str, location: Location, reason: str = "") -> ModelEntry:
    facts = None if reason else FACTS
    return ModelEntry(name=name, location=location, facts=facts, reason=reason)


def record(*models: ModelEntry, default: str = "", downloads: tuple[str, ...] = ()) -> ModelsRecord:
    return ModelsRecord(
        default=default,
        engines=[OPENVINO],
        models=[BUNDLED_MODEL, *models],
        downloads=list(downloads),
    )


def names(catalogue: Catalogue) -> list[str]:
    return [model.name for model in catalogue.usable]


def test_a_record_is_read_as_it_was_written() -> None:
    written = record(entry("mine", Location.FOLDER), entry("bad", Location.CACHE, "no torch"))
    assert ModelsRecord.read(written.write()) == written


def test_another_text_is_no_record() -> None:
    with pytest.raises(BadDocument):
        ModelsRecord.read(b'{"models": 5}')


def test_models_are_listed_by_name_if_they_can_be_used() -> None:
    catalogue = Catalogue(
        record(entry("z", Location.FOLDER), entry("bad", Location.FOLDER, "no torch")),
        [entry("a", Location.BUCKET)],
    )
    assert names(catalogue) == ["a", "htdemucs_tiny", "z"]


def test_a_name_that_no_job_can_have_is_not_listed() -> None:
    assert names(Catalogue(record(), [entry(".hidden", Location.BUCKET)])) == ["htdemucs_tiny"]


def test_a_model_is_taken_from_where_separate_looks_first() -> None:
    catalogue = Catalogue(
        record(
            entry("folder", Location.FOLDER),
            entry("broken", Location.FOLDER, "cut"),
            entry("cache", Location.CACHE, "cut"),
        ),
        [entry(name, Location.BUCKET) for name in ("folder", "broken", "cache")],
    )
    assert {model.name: model.location for model in catalogue.usable} == {
        "folder": Location.FOLDER,
        "cache": Location.BUCKET,
        "htdemucs_tiny": Location.BUNDLED,
    }


@pytest.mark.parametrize(
    ("setting", "in_bucket", "default"),
    [
        ("", [], "htdemucs_tiny"),
        ("", [entry("htdemucs", Location.BUCKET)], "htdemucs"),
        ("", [entry("htdemucs", Location.BUCKET, "cut")], None),
        ("mine", [entry("mine", Location.BUCKET)], "mine"),
        ("mine", [], None),
    ],
)
def test_the_default_is_the_one_that_separate_chooses(
    setting: str, in_bucket: list[ModelEntry], default: str | None
) -> None:
    model = Catalogue(record(default=setting), in_bucket).default
    assert (model.name if model else None) == default


@pytest.mark.parametrize(
    ("options", "detail"),
    [
        ({"model": "htdemux"}, "model is 'htdemux'; it accepts htdemucs_tiny, mine"),
        (
            {"model": "bad"},
            "model is 'bad'; it accepts htdemucs_tiny, mine; this one cannot be used: no torch",
        ),
        ({"model": "mine", "two_stems": "bass"}, "two_stems is 'bass'; it accepts drums, vocals"),
        ({"model": "mine", "segment": 8.0}, "segment is '8'; it accepts 1 to 7.8 with mine"),
        ({"stems": ("piano",)}, "stems is 'piano'; it accepts drums, bass, other, vocals"),
    ],
)
def test_options_that_no_model_accepts_are_refused(options: dict[str, Any], detail: str) -> None:
    known = record(entry("mine", Location.FOLDER), entry("bad", Location.FOLDER, "no torch"))
    with pytest.raises(BadOption) as raised:
        Catalogue(known, []).check(Options(**options))
    assert raised.value.detail == detail


def test_a_model_that_would_be_downloaded_is_accepted() -> None:
    catalogue = Catalogue(record(downloads=("htdemucs_ft",)), [])
    catalogue.check(Options(model="htdemucs_ft", stems=("piano",)))
    with pytest.raises(BadOption, match="htdemucs_tiny, or one of demucs' own models"):
        catalogue.check(Options(model="htdemux"))


@pytest.mark.parametrize("model", ["", "on-a-volume", "mine", "needs-torch"])
def test_before_there_is_a_record_nothing_is_refused(model: str) -> None:
    in_bucket = [entry("mine", Location.BUCKET), entry("needs-torch", Location.BUCKET, "torch")]
    catalogue = Catalogue(None, in_bucket)
    catalogue.check(Options(model=model, stems=("piano",)))
    assert (names(catalogue), catalogue.is_complete) == (["htdemucs_tiny", "mine"], False)
    assert catalogue.default is None


def test_any_stem_is_accepted_of_a_model_whose_sources_are_not_known() -> None:
    unknown = ModelFacts(sources=[], segment=None, max_segment=None, networks=1)
    pickle = ModelEntry(name="old", location=Location.FOLDER, facts=unknown)
    Catalogue(record(pickle), []).check(Options(model="old", two_stems="piano", segment=30))
