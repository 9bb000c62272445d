"""Time, chance, prints and logs, from the host: a guest has none of its own, and what asks WASI for them traps."""

import datetime
import linecache
import logging
import os
import sys
import time
import traceback
from typing import Any

from wit_world.imports import ambient as host
from wit_world.imports import logging as host_log


def _no_sleep(_: float) -> None:
    raise RuntimeError("a plugin may not sleep: return a wait, or sleep()")


class _Any(type):
    """The class is also of what the original, its base, makes."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.__mro__[1])


class _DateTime(datetime.datetime, metaclass=_Any):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return cls.fromtimestamp(time.time(), tz or datetime.UTC).replace(tzinfo=tz)

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now()

    @classmethod
    def today(cls) -> Any:
        return cls.now()


class _Date(datetime.date, metaclass=_Any):
    @classmethod
    def today(cls) -> Any:
        return _DateTime.now().date()


class _Lines:
    """A text stream of which each line is logged."""

    def __init__(self, level: host_log.Level) -> None:
        self._level = level
        self._open = ""

    def write(self, text: str) -> int:
        *lines, self._open = (self._open + text).split("\n")
        for line in lines:
            host_log.log(self._level, line)
        return len(text)

    def flush(self) -> None:
        if self._open:
            self.write("\n")


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        levels = host_log.Level
        for least, level in ((40, levels.ERROR), (30, levels.WARN), (20, levels.INFO), (10, levels.DEBUG)):
            if record.levelno >= least:
                return host_log.log(level, self.format(record))
        host_log.log(levels.TRACE, self.format(record))


def _urandom(length: int) -> bytes:
    return host.random_bytes(length)


def _seconds() -> float:
    return host.now_ms() / 1000


def _nanoseconds() -> int:
    return host.now_ms() * 1_000_000


def install() -> None:
    """To be called before the plugin's modules are imported."""
    for name in ("time", "monotonic", "perf_counter"):
        setattr(time, name, _seconds)
        setattr(time, f"{name}_ns", _nanoseconds)
    for name in ("gmtime", "localtime"):
        broken_down = getattr(time, name)
        setattr(time, name, lambda at=None, of=broken_down: of(_seconds() if at is None else at))
    time.sleep = _no_sleep
    datetime.datetime, datetime.date = _DateTime, _Date  # type: ignore[misc]
    os.urandom = _urandom
    sys.stdout, sys.stderr = _Lines(host_log.Level.INFO), _Lines(host_log.Level.ERROR)  # type: ignore[assignment]
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", handlers=[_Handler()])


def _fail() -> None:
    try:
        None.nothing  # type: ignore[attr-defined]
    except AttributeError as error:
        raise KeyError("nothing") from error


def installed() -> None:
    """To be called after them: there are no files in a running guest, so what a traceback shows, and what it imports on the
    way, is read now."""
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path and "wasaga" not in (getattr(module, "__package__", None) or "") and "python3" not in path:
            linecache.getlines(path)
    try:
        _fail()
    except KeyError:
        traceback.format_exc()
    linecache.checkcache = lambda filename=None: None
    linecache.updatecache = lambda filename, module_globals=None: []
    if "random" in sys.modules:
        sys.modules["random"]._urandom = _urandom  # type: ignore[attr-defined]


def log_error(text: str) -> None:
    host_log.log(host_log.Level.ERROR, text)


def described(error: BaseException) -> str:
    """An exception and where it was raised, by nothing that could ask for a file."""
    lines = ["Traceback (most recent call last):"]
    place = error.__traceback__
    while place is not None:
        code = place.tb_frame.f_code
        lines.append(f'  File "{code.co_filename}", line {place.tb_lineno}, in {code.co_qualname}')
        source = linecache.getline(code.co_filename, place.tb_lineno).strip()
        if source:
            lines.append(f"    {source}")
        place = place.tb_next
    return "\n".join([*lines, f"{type(error).__name__}: {error}"])


_STANDARD_LIBRARY = os.path.dirname(linecache.__file__)


def place(error: BaseException) -> str:
    """Where in the plugin's own code it was raised."""
    own = ""
    at = error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        # componentize-py numbers the directories that it takes modules from; what is frozen or made has no file.
        name = code.co_filename.lstrip("/").partition("/")[2]
        if name and not code.co_filename.startswith((_STANDARD_LIBRARY, "<")) and not name.startswith("wasaga/"):
            own = f" at {code.co_qualname} ({name}:{at.tb_lineno})"
        at = at.tb_next
    return own


def begin() -> None:
    """A call begins: all of them start from one snapshot, with one seed."""
    random = sys.modules.get("random")
    if random is not None:
        random.seed(int.from_bytes(_urandom(16)))
