"""How much memory a command of `manage.py` needs."""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from tests.processes import ROOT

_TELLING = """
import atexit, os, pathlib, runpy, sys
atexit.register(lambda: os.write(int(os.environ["TELL_TO"]), pathlib.Path("/proc/self/status").read_bytes()))
sys.argv[0] = "manage.py"
runpy.run_path("manage.py", run_name="__main__")
"""


class Weighed(subprocess.Popen[bytes]):
    """A command that tells of its memory when it ends.

    What the system keeps of a process that has ended counts that of the process which started it too.
    """

    def __init__(self, *arguments: str, env: Mapping[str, str], **options: Any) -> None:
        told, telling = os.pipe()
        self._told = os.fdopen(told)
        try:
            super().__init__(
                [sys.executable, "-c", _TELLING, *arguments],
                cwd=ROOT,
                env={**env, "TELL_TO": str(telling)},
                pass_fds=[telling],
                **options,
            )
        except BaseException:
            self._told.close()
            raise
        finally:
            os.close(telling)

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        with self._told:
            self._status = self._told.read()

    def peak(self) -> int:
        """The most bytes that it ever had resident, after it has ended by itself."""
        return peak_in(self._status)


def peak_in(status: str) -> int:
    """The most bytes that a process ever had resident, by what /proc says of its status."""
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
