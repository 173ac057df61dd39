"""The exceptions that libraries raise on damaged or hostile files.

A decoder meets bytes that nobody foresaw, and says so in the words of whatever layer tripped: the list was completed by feeding
every reader thousands of cut, flipped and spliced files. Around a decoder, and nowhere else, all of them mean one thing: this
file cannot be read. MemoryError is among them because a damaged header may claim any size.
"""

import lzma
import struct
import tokenize
import zipfile
import zlib

from PIL import Image

DAMAGE: tuple[type[Exception], ...] = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
