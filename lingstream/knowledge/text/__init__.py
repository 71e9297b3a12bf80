"""Texts: read out of files, made even, cut into passages and into words. Pure: no Django, no network.

1. Every function takes what a stranger wrote, of any size and content, in linear time.
2. What comes out of :func:`.normalise.normalise` can be stored by every database: no NUL, no half character.
3. A passage is a range of the text that it came from, and nothing else: offsets count code points.
4. What :func:`.words.words` returns is of letters and digits only: no database's tokenizer cuts it again.
"""
