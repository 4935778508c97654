"""Options that several commands and back ends share."""

import argparse


def add_layout_option(parser: argparse.ArgumentParser) -> None:
    """Add --layout to a command that reads atlases."""
    parser.add_argument(
        "--layout",
        metavar="LAYOUT",
        help="columns of an atlas without manifest that has another layout than the public one: a JSON file or"
        " 'embeddings=other:256,…;labels=cell_type:3,…'; a part that is not named is that of the public atlas",
    )


def add_atlases(parser: argparse.ArgumentParser) -> None:
    """Add what the commands that summarise atlases share: the atlases, --output, --decoders and --layout."""
    parser.add_argument("atlas", nargs="+", help="the folder of an atlas; several are counted as one")
    parser.add_argument("--output", required=True, help="the folder to write")
    parser.add_argument("--decoders", metavar="JSON", help="label decoders, for atlases without any")
    add_layout_option(parser)


def share(text: str) -> float:
    """Return the value of an option that is a share, 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; give a number from 0 to 1, e.g. 0.2")
    return value
