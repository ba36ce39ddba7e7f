"""Optional numba: kernels are compiled at their first call, or run as plain Python; `python -m` this to compile all."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")
Example = Callable[[], tuple[Any, ...]]
KERNELS: list[Kernel[Any, Any]] = []
_lock = threading.RLock()


@functools.cache
def _numba() -> Any:
    with contextlib.suppress(Exception):  # not installed, or does not fit the NumPy that is: do without
        return importlib.import_module("numba")


def have_numba() -> bool:
    """Whether kernels are compiled. Imports numba (0.3 s, once), unless VIRTLAB_NO_NUMBA is set."""
    return not os.environ.get("VIRTLAB_NO_NUMBA") and _numba() is not None


class Kernel(Generic[P, R]):
    """A hot loop over arrays and scalars. `py_func` is the Python function that it was made from."""

    def __init__(self, py_func: Callable[P, R], examples: tuple[Example, ...], lists: bool) -> None:
        functools.update_wrapper(self, py_func)
        self.py_func, self.examples, self.lists = py_func, examples, lists
        self._compiled: Any = None
        KERNELS.append(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return (self.compiled if have_numba() else self.interpret)(*args, **kwargs)

    def __reduce__(self) -> str:
        return str(self.__qualname__)  # type: ignore[attr-defined]  # pickled by name, as a function is

    @property
    def compiled(self) -> Any:
        """The numba dispatcher; nothing is compiled before its first call. Needs numba."""
        with _lock:
            if self._compiled is None:
                source = _named_by_what_it_pastes(self.py_func)
                try:
                    self._compiled = _numba().njit(cache=True, nogil=True)(source)
                except RuntimeError:  # no directory to keep a cache in
                    self._compiled = _numba().njit(nogil=True)(source)
        return self._compiled

    @property
    def _numba_type_(self) -> Any:  # numba asks for it when one kernel calls another
        return self.compiled._numba_type_

    def interpret(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run as plain Python. One-dimensional arrays go in as lists (an element costs a third) and are copied back."""
        if not self.lists:
            return self.py_func(*args, **kwargs)
        lists = {id(a): (a, a.tolist()) for a in args if isinstance(a, np.ndarray) and a.ndim == 1}
        result = self.py_func(*(lists[id(a)][1] if id(a) in lists else a for a in args), **kwargs)  # type: ignore
        for array, values in lists.values():
            if array.flags.writeable:
                array[:] = values
        return result


def jit(*examples: Example, lists: bool = True) -> Callable[[Callable[P, R]], Kernel[P, R]]:
    """Decorator that makes a `Kernel`. Each of `examples` gives tiny arguments of the types of a call: a cache to warm.

    Write `len(a)`, not `a.size`: a list must do. `lists=False` keeps arrays where numba is missing, for loops that
    need integers of fixed width (a list holds Python's, which do not wrap round) or operations on whole arrays.
    """
    return lambda py_func: Kernel(py_func, examples, lists)


class Inlined(Generic[P, R]):
    """A helper of kernels that numba pastes into each place that calls it: a call with arrays costs more than it does.

    Decorate a function with it, and call that from a kernel; plain Python calls it as it stands.
    """

    targetoptions = {"inline": "always"}  # numba looks for this and for `py_func`

    def __init__(self, py_func: Callable[P, R]) -> None:
        functools.update_wrapper(self, py_func)
        self.py_func = py_func

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.py_func(*args, **kwargs)

    @functools.cached_property
    def _numba_type_(self) -> Any:  # the name is typed after it was pasted, too
        self._compiled = _numba().njit(inline="always")(self.py_func)  # numba's type holds it weakly only
        return self._compiled._numba_type_


def _named_by_what_it_pastes(function: Any) -> Any:
    """The same function; its name tells helpers and numbers: numba asks only whether the kernel's own file changed."""
    pasted = _pasted(function, set())
    if not pasted:
        return function
    code, name = function.__code__, f"{function.__qualname__}-{zlib.crc32(repr(pasted).encode()):08x}"
    new = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    new.__qualname__, new.__module__, new.__doc__ = name, function.__module__, function.__doc__
    return new


def _pasted(function: Any, seen: set[str]) -> list[Any]:
    """The numbers that a function has from outside and the code of the helpers that it uses, and theirs."""
    found: list[Any] = []
    for name in sorted(set(function.__code__.co_names) - seen):
        value = function.__globals__.get(name)
        if isinstance(value, int | float):
            found.append((name, value))
        elif isinstance(value, Inlined):
            seen.add(name)
            helper: Any = value.py_func
            constants = [x for x in helper.__code__.co_consts if isinstance(x, int | float)]
            found.append((name, helper.__code__.co_code, constants, _pasted(helper, seen)))
    return found


def main() -> None:
    """Import each module of the library that defines kernels, and call each kernel with its examples."""
    if not have_numba():
        return print("numba is not used here (not installed, or VIRTLAB_NO_NUMBA is set): nothing to compile")
    root = Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):  # by text: importing all of the library would load matplotlib and widgets
        if "\n@jit(" in path.read_text(encoding="utf-8"):
            importlib.import_module(".".join(path.relative_to(root.parent).with_suffix("").parts))
    for kernel in KERNELS:
        start = time.perf_counter()
        for example in kernel.examples:
            kernel(*example())
        print(f"{kernel.__module__}.{kernel.__name__}: {time.perf_counter() - start:.2f} s")  # type: ignore[attr-defined]


if __name__ == "__main__":
    importlib.import_module("virtlab.core.jit").main()  # not this copy, named __main__, whose registry stays empty
