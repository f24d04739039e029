import pytest

from microdemucs.plain_numbers import decimal_number, decimal_text, whole_number

NO_NUMBERS = (
    *("", " ", "5_0", "_5", " 5", "5 ", "5\n", "\t5", "+5", "-5", "--5", "5,0", "5'000", "5 000"),
    *("0x5", "0b1", "1e", "e1", "1e1.5", "1e9999", "1e400", "nan", "inf", "Infinity", "five"),
    *("\u0665", "\uff15", "²"),
    *(".", "5.", "1.2.3", "5.0_0", "1/2", "9" * 19, "9" * 5000),
)


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_plain_number_is_none(text: str) -> None:
    assert whole_number(text) is None
    assert decimal_number(text) is None


@pytest.mark.parametrize("text", ["0", "7", "50", "007", "999999999999999999"])
def test_digits_are_a_number(text: str) -> None:
    assert whole_number(text) == int(text)
    assert decimal_number(text) == float(text)


@pytest.mark.parametrize("text", ["0.25", ".25", "5.0", "00.5", "1." + "3" * 400])
def test_a_fraction_is_decimal_and_not_whole(text: str) -> None:
    assert whole_number(text) is None
    assert decimal_number(text) == float(text)


@pytest.mark.parametrize("text", ["5e1", "5E1", "1e+06", "2.5e-1"])
def test_an_exponent_is_decimal_and_not_whole(text: str) -> None:
    assert whole_number(text) is None
    assert decimal_number(text) == float(text)


@pytest.mark.parametrize("number", [0.0, 1.0, 0.25, 0.1 + 0.2, 1e-7, 5e-324, 123456789.125, 3.0e17])
def test_a_number_survives_as_text(number: float) -> None:
    assert decimal_number(decimal_text(number)) == number
