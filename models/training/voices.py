"""Have flite's CMU voices read lines that were written for this, into voices/."""

import subprocess
from pathlib import Path

VOICES = ("slt", "rms", "awb", "kal16")
LINES = """the morning light comes over the hill and I am walking home
all of the roads lead down to the water and nobody knows my name
hold on to the night hold on to the song we were singing
I saw a bird above the river flying far away from me
under the moon we are older and under the sun we are young
give me a reason to stay here a little while longer
oh oh oh la la la I hear you calling over the sea
turn the wheel slowly and follow the road to the end
we never wanted a house full of gold only a window and rain
every machine has a heart and every heart has a motor
leave me alone with the sound of the rolling thunder
who will remember the way that we danced in the kitchen
a long way away from the city lights shining
no more waiting no more wondering nothing to lose
one two three four count the stars in the sky
you and I are only shadows moving along the wall
blue is the colour of distance and red is the colour of near
why do we always run when the music is over""".splitlines()


def main() -> None:
    """Write one file per voice and line, at four speeds."""
    Path("voices").mkdir(exist_ok=True)
    for voice in VOICES:
        for number, line in enumerate(LINES):
            stretch = f"duration_stretch={1 + 0.15 * (number % 4)}"
            file = f"voices/{voice}{number:02d}.wav"
            subprocess.run(
                ["flite", "-voice", voice, "--setf", stretch, "-t", line, "-o", file], check=True
            )


if __name__ == "__main__":
    main()
