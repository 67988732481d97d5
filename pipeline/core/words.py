"""Words of a text: the one rule by which features, transcripts, views and the report count them. Pure."""

from __future__ import annotations

import re
import unicodedata

# Letters and digits, with apostrophes, a Catalan dot or Hebrew geresh inside: don't, col·lega, צה״ל are one word each.
_WORD = re.compile(r"[^\W_]+(?:['’·׳״][^\W_]+)*")
_ZERO_WIDTH_SPACE = "\u200b"  # the only format character at which a word may end
# Letters of scripts that put no space between words.
_UNSPACED = re.compile(
    r"(?=[^\W_])["
    "\u0e00-\u109f"  # Thai, Lao, Tibetan, Burmese
    "\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf"  # Khmer, Tai Le, New Tai Lue, Tai Tham
    "\u1b00-\u1b7f\ua980-\ua9ff\uaa60-\uaadf"  # Balinese, Javanese, Burmese, Tai Viet
    "\u3005-\u3007\u3040-\u312f\u31a0-\u31bf\u31f0-\u31ff\uff66-\uff9f"  # kana, bopomofo
    "\u3400-\u4dbf\u4e00-\ua4cf\uf900-\ufaff"  # Chinese characters, Yi
    "\U0001aff0-\U0001b16f\U00020000-\U0003ffff"  # more kana and Chinese characters
    "]"
)


def word_count(text: str | None) -> int | None:
    """Return the number of words of a text: runs of letters and digits; ``twenty-one`` is two, ``don't`` is one.

    Accents and vowel signs belong to the letter before them, and joiners and soft hyphens to the word around them
    (`join_words`). None where the text is missing, and where a letter of it is of a script that puts no space between
    words, such as Chinese, Japanese, Thai, Lao, Khmer or Burmese: counting those takes a dictionary.
    """
    if text is None:
        return None
    joined = join_words(text)
    return None if _UNSPACED.search(joined) else len(_WORD.findall(joined))


def join_words(text: str) -> str:
    """Return a text without the characters inside of words that are neither letter nor digit.

    These are marks (category M) and format characters (Cf) such as joiners and soft hyphens, at none of which a word
    ends: Unicode Standard Annex #29, rule WB4.
    """
    if text.isascii():
        return text
    return "".join(
        each
        for each in text
        if each == _ZERO_WIDTH_SPACE or not (unicodedata.category(each) == "Cf" or unicodedata.category(each)[0] == "M")
    )
