import pytest

from microdemucs.options import BadOption, Options


def test_an_option_that_is_missing_has_its_default() -> None:
    assert Options.of_request({}) == Options()
    assert Options().changed() == {}


def test_metadata_names_have_hyphens_and_values_are_text() -> None:
    metadata = {"two-stems": "vocals", "format": "FLAC", "bits": "24", "mm-source-mtime": "0644"}
    assert Options.of_metadata(metadata) == Options(two_stems="vocals", format="flac", bits=24)


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(stems=("drums", "vocals"), format="wav", bits=32, clip_mode="clamp"),
        Options(model="htdemucs_ft", shifts=2, overlap=0.1, segment=5.5, bitrate=128),
        Options(overlap=1e-7),
    ],
)
def test_options_survive_as_metadata(options: Options) -> None:
    assert Options.of_metadata(options.metadata()) == options


@pytest.mark.parametrize(
    ("name", "value", "accepts"),
    [
        ("format", "ogg", "mp3, flac, wav"),
        ("bitrate", 123, "320"),
        ("bits", 8, "16, 24, 32"),
        ("shifts", "many", "a whole number from 0 to 20"),
        ("shifts", True, "a whole number"),
        ("shifts", 1.5, "a whole number"),
        ("shifts", "1_0", "a whole number from 0 to 20"),
        ("shifts", "+1", "a whole number from 0 to 20"),
        ("shifts", "\u0661", "a whole number from 0 to 20"),
        ("segment", "5_0", "a number from 1 to 60"),
        ("segment", "5e", "a number from 1 to 60"),
        ("overlap", "0.1_5", "a number from 0 to 0.9"),
        ("overlap", "-0", "a number from 0 to 0.9"),
        ("overlap", "nan", "a number from 0 to 0.9"),
        ("overlap", 1, "a number from 0 to 0.9"),
        ("segment", -1, "a number from 1 to 60"),
        ("clip_mode", "hard", "rescale, clamp, none"),
        ("model", "../../etc/passwd", "a name"),
        ("stems", 3, "a list of stems"),
        ("stems", ["drums", 3], "a name"),
        ("two_stems", {"a": 1}, "a name"),
    ],
)
def test_an_error_names_the_option_and_what_it_accepts(
    name: str, value: object, accepts: str
) -> None:
    with pytest.raises(BadOption) as refused:
        Options.of_request({name: value})
    assert refused.value.detail.startswith(name)
    assert accepts in refused.value.detail


def test_a_request_with_an_unknown_option_is_an_error() -> None:
    with pytest.raises(BadOption, match="formt"):
        Options.of_request({"formt": "flac"})


def test_32_bits_are_for_wav_only() -> None:
    with pytest.raises(BadOption, match="bits"):
        Options.of_request({"format": "flac", "bits": 32})
