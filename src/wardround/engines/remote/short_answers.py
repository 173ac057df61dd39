"""What a hospital reads of a hub's answer: a hub that turned bad would fill its memory before a person approved anything.

response --hook--> no packing (a few kB unpack to gigabytes), and at most so many bytes, or httpx.RemoteProtocolError
"""

from collections.abc import Callable, Iterator

import httpx

Hook = Callable[[httpx.Response], None]


def at_most(limit: int) -> Hook:
    """A hook for responses of an `httpx.Client`: none has more than `limit` bytes."""

    def hook(response: httpx.Response) -> None:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise _refused("its answer is packed, and was not asked to be")
        length = response.headers.get("content-length", "")
        if length.isdecimal() and (len(length) > 18 or int(length) > limit):
            raise _refused(f"its answer would have {length[:18]} bytes, and no answer has more than {limit}")
        response.stream = _Counted(response.stream, limit)

    return hook


class _Counted(httpx.SyncByteStream):
    """A stream that ends with an error where it is longer than it may be."""

    def __init__(self, stream: object, limit: int) -> None:
        assert isinstance(stream, httpx.SyncByteStream)
        self._stream, self._limit = stream, limit

    def __iter__(self) -> Iterator[bytes]:
        length = 0
        for piece in self._stream:
            length += len(piece)
            if length > self._limit:
                raise _refused(f"its answer has more than {self._limit} bytes")
            yield piece

    def close(self) -> None:
        self._stream.close()


def _refused(reason: str) -> httpx.RemoteProtocolError:
    return httpx.RemoteProtocolError(f"the hub is not as hubs are: {reason}")
