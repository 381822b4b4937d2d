"""Overlapping pieces of an axis, whose kept parts fill it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """What a piece is along one axis, and what is kept of it.

    Arguments:
        shown: entries of the axis in the piece.
        kept: those in whose place what is made of it is kept.
        length: of the axis.
    """

    shown: slice
    kept: slice
    length: int

    @property
    def inside(self) -> slice:
        """What is kept, counted from the first entry that is shown."""
        return slice(self.kept.start - self.shown.start, self.kept.stop - self.shown.start)

    def places(self, made: int, picture: int) -> tuple[slice, slice]:
        """Where in the picture the kept part of what was made of the piece lies, and where in it.

        Arguments:
            made: length of what was made, larger than what is shown by as much on either side.
            picture: length of the whole, which is that of the axis or larger by as much on either
                side.
        """
        frame = (picture - self.length) // 2
        begin = self.shown.start - (made - (self.shown.stop - self.shown.start)) // 2 + frame
        first = self.kept.start + frame if self.kept.start else 0
        last = picture if self.kept.stop == self.length else self.kept.stop + frame
        return slice(first, last), slice(first - begin, last - begin)


def spans(length: int, side: int, overlap: int) -> list[Span]:
    """Spans whose kept parts, of a side, fill a length; each shows an overlap more.

    The first one that shows the end keeps all that is left.
    """
    starts = range(0, max(1, length - overlap), side)
    stops = [*starts[1:], length]
    kept = [slice(*ends) for ends in zip(starts, stops, strict=True)]
    return [
        Span(slice(max(0, k.start - overlap), min(length, k.stop + overlap)), k, length)
        for k in kept
    ]
