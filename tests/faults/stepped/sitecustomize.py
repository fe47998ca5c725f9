"""Python starts with this where its folder is on PYTHONPATH: the time of day is off by what the
file named in STEPPED_CLOCK says. Clocks that run, which nobody can step, are left alone.

(libfaketime would reach further, but makes waits on the running clock fail: EINVAL from sleeps.)
"""

import datetime
import os
import time
from pathlib import Path
from typing import Any

_real_time = time.time
_file = Path(os.environ["STEPPED_CLOCK"])


def _offset() -> float:
    return float(_file.read_text())


class _Stepped(datetime.datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.datetime.fromtimestamp(_real_time() + _offset(), tz)


time.time = lambda: _real_time() + _offset()
datetime.datetime = _Stepped  # type: ignore[misc]
