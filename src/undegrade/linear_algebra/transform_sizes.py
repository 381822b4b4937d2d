"""Sizes of which a fast Fourier transform is fast: those without large prime factors."""


def is_fast(n: int) -> bool:
    """Whether n has no prime factor above 5: transforms like those."""
    for factor in (2, 3, 5):
        while n % factor == 0:
            n //= factor
    return n == 1


def fast_size(n: int) -> int:
    """The smallest fast even number ≥ n."""
    n += n % 2
    while not is_fast(n):
        n += 2
    return n
