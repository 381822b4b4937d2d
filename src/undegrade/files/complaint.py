"""What a library says of a damaged file, as a part of one sentence of ours."""

_LONGEST = 300  # characters: what a file holds may stand in it


def in_short(error: BaseException) -> str:
    """The complaint in one line of printable characters, cut where it is long."""
    text = " ".join((str(error) or type(error).__name__).split())[:_LONGEST]
    return text.encode("ascii", "backslashreplace").decode() if not text.isprintable() else text
