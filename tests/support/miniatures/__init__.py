"""Miniatures of the data sets in configs/snapshots: some forty clips each, in the layout that they have on Kaggle.

Tones in noise stand for the sounds; folders, names, tables and their quirks are the real ones.
"""

from tests.support.miniatures import sounds, speech
from tests.support.miniatures.making import MINIATURES, Miniature

__all__ = ["MINIATURES", "Miniature", "sounds", "speech"]
