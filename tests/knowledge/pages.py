"""Pages of a folder that changes."""

from __future__ import annotations

import random
from pathlib import Path

__all__ = ["change", "page"]


def change(folder: Path, chance: random.Random) -> None:
    """Change some files, take some away, rename some, add some."""
    names = sorted(path.stem for path in folder.iterdir() if path.stem != "always")
    chance.shuffle(names)
    for name in [*names[:5], "always", *(str(chance.randrange(10**6)) for _ in range(8))]:
        (folder / f"{name}.md").write_text(page(chance))
    for name in names[5:12]:
        (folder / f"{name}.md").unlink()
    for name in names[12:14]:
        (folder / f"{name}.md").rename(folder / f"{chance.randrange(10**6)}.md")


def page(chance: random.Random) -> str:
    """A page of several passages, one of which all of them have."""
    words = [chance.choice(("cloud", "rain", "sun", "wind", "云", "雨")) for _ in range(60)]
    return f"# {chance.random()}\n\n{' '.join(words[:30])}\n\nthe same everywhere\n\n{' '.join(words[30:])}\n"
