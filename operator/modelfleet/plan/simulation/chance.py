"""Chance that is the same on every machine: splitmix64, started by a seed."""

import math

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def mixed(value: int) -> int:
    """Return 64 bits that look as if they had nothing to do with `value`."""
    value = (value + _GOLDEN) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Chance:
    """A stream of random numbers."""

    def __init__(self, seed: int) -> None:
        self._state = mixed(seed)

    def uniform(self) -> float:
        """Return a number of (0, 1]."""
        self._state = (self._state + _GOLDEN) & _MASK
        return ((mixed(self._state) >> 11) + 1) / (1 << 53)

    def exponential(self, mean: float) -> float:
        """Return the time to the next of events that come by chance."""
        return -mean * math.log(self.uniform())

    def normal(self) -> float:
        """Return a number of the standard normal distribution (Box and Muller)."""
        radius = math.sqrt(-2 * math.log(self.uniform()))
        return radius * math.cos(2 * math.pi * self.uniform())

    def lognormal(self, mean: float, sigma: float) -> float:
        """Return a positive number; `sigma` is the deviation of its logarithm."""
        return mean * math.exp(sigma * self.normal() - sigma * sigma / 2)
