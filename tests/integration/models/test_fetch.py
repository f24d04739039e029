"""A model that cannot be downloaded ends with one line that says what to do."""

from pathlib import Path

from tests.integration.models.preparing import prepare


def test_an_unknown_model_is_rejected_with_the_known_ones(tmp_path: Path) -> None:
    result = prepare("no-such", tmp_path)
    assert result.returncode == 1
    assert "there is no model 'no-such'; demucs has hdemucs_mmi, htdemucs" in result.stderr


def test_without_a_hub_the_advice_is_another_machine(tmp_path: Path) -> None:
    result = prepare("htdemucs", tmp_path)
    assert result.returncode == 1
    assert "no hub can be reached from this machine" in result.stderr
    assert "run `make models MODEL=htdemucs` on one that can, and copy" in result.stderr


def test_a_failed_download_leaves_nothing(tmp_path: Path) -> None:
    prepare("htdemucs", tmp_path)
    assert not list(tmp_path.iterdir())
