"""What a person does where a disk refuses: one sentence for each cause, true for a command, a simulation and a service."""

import errno

_ROOM = "free some disk space, then run it again; a simulation goes on with --resume, a service tries again by itself"
_READ_ONLY = "the disk is mounted read-only: ask whoever runs this machine to make it writable, or name a folder on another one"
_RIGHTS = "ask whoever owns the folder for the right to write there, or name another folder"
_BROKEN = "look whether the disk is damaged (dmesg), and bring the folder back from a backup on a sound one"
_MENDS = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EIO: _BROKEN,
}


def mend_of(error: OSError) -> str:
    """What to do about it; empty where its cause is none that a disk has.

    >>> mend_of(OSError(errno.EROFS, "Read-only file system"))[:33]
    'the disk is mounted read-only: as'
    """
    return _MENDS.get(error.errno or 0, "")
