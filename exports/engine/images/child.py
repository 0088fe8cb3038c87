"""The process that reads pictures: `python -m exports.engine.images.child MEMORY SECONDS`.

A line of JSON comes in for each, {"source", "recipe"?, "target"?, "watermark"?} with paths; one goes out, {"width",
"height", "extension"?} or {"reason"}. What a picture can do to this process, it does to nobody else.
"""

import json
import mmap
import resource
import sys
import warnings
from contextlib import ExitStack
from typing import Any

from exports.engine.images.painting import ORIENTATION, Unpaintable, measured, opened, painted
from exports.engine.images.recipe import Recipe
from exports.engine.images.stripping import stripped

STRIPPED_EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}


def serve(memory: int, seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        _allow(seconds)
        print(json.dumps(answer(json.loads(line))), flush=True)


def _allow(seconds: int) -> None:
    """So much more time of a processor; what takes longer is killed by the system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds, resource.RLIM_INFINITY))


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    try:
        with ExitStack() as files:
            source = files.enter_context(open(asked["source"], "rb"))
            if "recipe" not in asked:
                width, height = measured(opened(source))
                return {"width": width, "height": height}
            recipe = Recipe.read(asked["recipe"])
            target = files.enter_context(open(asked["target"], "w+b"))
            if recipe.strip:
                return {"extension": _strip(source, target)}
            mark = files.enter_context(open(asked["watermark"], "rb")) if asked.get("watermark") else None
            return {"extension": painted(source, target, recipe, mark)}
    except Unpaintable as error:
        return {"reason": str(error)}
    except MemoryError:
        return {"reason": "it needs more memory than a picture may"}
    except Exception as error:
        # Of a broken file Pillow raises whatever its reader stumbled over.
        return {"reason": f"no picture could be made of it ({type(error).__name__})"}


def _strip(source: Any, target: Any) -> str:
    picture = opened(source)
    kind = str(picture.format)
    with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as data, memoryview(data) as view:
        for piece in stripped(view, kind, picture.getexif().get(ORIENTATION, 1)):
            target.write(piece)
    return STRIPPED_EXTENSIONS[kind]


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
