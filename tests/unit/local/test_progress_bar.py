import pytest

from local.progress_bar import ProgressBar


def interrupt_after(*updates: float) -> None:
    with ProgressBar("separating") as bar:
        for progress in updates:
            bar.update(progress)
        raise KeyboardInterrupt


def test_a_finished_phase_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("separating") as bar:
        bar.update(0.5)
    output = capsys.readouterr().out
    assert output.count("\n") == 1
    assert output.startswith("separating ")
    assert "100%" in output
    assert output.endswith("s done\n")


def test_an_interrupted_phase_keeps_its_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupt_after(0.5)
    output = capsys.readouterr().out
    assert " 50% " in output
    assert output.endswith("s stopped\n")


def test_progress_never_goes_back(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupt_after(0.5, 0.2)
    assert " 50% " in capsys.readouterr().out
