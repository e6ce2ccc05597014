"""A disk that fails under what is tested."""

import errno
import os
from typing import NoReturn


def full(*_: object, **__: object) -> NoReturn:
    """Fail as a disk without room does; stands in for ``os.write``, ``os.fsync`` and the like."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
