"""Values of command line arguments that more than one verb takes."""

import argparse
from collections.abc import Callable


def seconds(most: float) -> Callable[[str], float]:
    """A number of seconds above 0 and up to `most`."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value <= most:  # also true for nan
            raise argparse.ArgumentTypeError(f"expected a number of seconds above 0 and up to {most:g}, got {text!r}")
        return value

    return convert
