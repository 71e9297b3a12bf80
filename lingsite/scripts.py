"""What provider rows may name as a script."""

from lingstream.providers.scripted import script

from .recorded import answers

script("recorded")(answers)
