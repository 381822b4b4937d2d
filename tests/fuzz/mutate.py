"""Damage as it happens, and as somebody would do it on purpose."""

import random

_NUMBERS = (b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80")


def mutated(data: bytes, draw: random.Random) -> bytes:
    """The data with a few bytes changed, bits flipped, numbers blown up, or parts cut out."""
    harmed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5, 20))):
        if not harmed:
            break
        at = draw.randrange(len(harmed))
        kind = draw.randrange(5)
        if kind == 0:
            harmed[at] = draw.randrange(256)
        elif kind == 1:
            harmed[at] ^= 1 << draw.randrange(8)
        elif kind == 2:
            harmed[at : at + 4] = draw.choice(_NUMBERS)
        elif kind == 3:
            del harmed[at : at + draw.randrange(1, 64)]
        elif draw.random() < 0.3:
            del harmed[at:]
    return bytes(harmed)
