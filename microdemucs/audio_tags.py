"""The tags of a file that is made of a song: a stem, or a mix of stems."""

from collections.abc import Mapping

from msgspec import Struct


class AudioTags(Struct, frozen=True):
    """The tags of one file. `cover` is a JPEG or PNG, or empty.

    `track` may be "3/12", and `date` a year, a month or a day, such as "2020-03-01".
    """

    title: str = ""
    artist: str = ""
    album: str = ""
    track: str = ""
    date: str = ""
    cover: bytes = b""

    @staticmethod
    def of_song(
        song: Mapping[str, str], song_name: str, what: str = "", cover: bytes = b""
    ) -> "AudioTags":
        """Return the tags of the file that has `what` of the song: a stem's name, or the mix.

        `song` are the song's tags. A song without a title has the name of its file.
        """
        return AudioTags(
            title=title_of(song, song_name, what),
            artist=song.get("artist", ""),
            album=song.get("album", ""),
            track=song.get("track", ""),
            date=song.get("date", ""),
            cover=cover,
        )

    @property
    def texts(self) -> dict[str, str]:
        """The tags that are not empty, without the cover."""
        return {name: text for name in _TEXTS if (text := getattr(self, name))}


_TEXTS = ("title", "artist", "album", "track", "date")
NO_TAGS = AudioTags()


def title_of(song: Mapping[str, str], song_name: str, what: str = "") -> str:
    """Return the title of a file, by the song's tags or, if they have none, its name."""
    title = song.get("title") or song_name
    return f"{title} ({what})" if what else title
