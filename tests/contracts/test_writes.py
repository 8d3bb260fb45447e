"""One module opens whatever is written: a scan of both packages finds no other that does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WRITER = "gan_env/io/files.py"
ALLOWED = {
    ("gan_env/cli/__init__.py", "open(os.devnull, 'w')"): "for the interpreter's last flush, into nothing",
    ("agents/watching/film.py", "write_frames"): "into a folder of its own, which `write_by` gives it",
    ("gan_env/native/library.py", "fresh.write_bytes"): "as the package is built, when nothing of it is at hand",
    ("agents/training/evolution_training.py", "self.log.dump"): "a number of a log that `logs.open_log` has opened",
    ("agents/training/logs.py", "configure"): "TensorBoard's logs, in a folder that `cut_logs` has checked",
}
"""What may write by itself: the file, words of the call, and why."""
WRITING = {
    "write_text", "write_bytes", "savez", "savez_compressed", "savefig", "save_file", "tofile", "savetxt", "to_csv",
    "mimsave", "mimwrite", "imwrite", "imsave", "write_video", "write_videofile", "write_frames", "symlink_to", "touch",
    "hardlink_to", "symlink", "link", "truncate", "ftruncate", "copyfile", "copytree", "move", "extractall", "mkstemp",
    "urlretrieve", "SummaryWriter", "NamedTemporaryFile", "memmap", "open_memmap", "FileHandler", "configure", "mkfifo",
    "get_writer", "write_html", "rename",
}  # fmt: skip
"""Calls that write to a path by their name alone."""
MODE = re.compile(r"[rbtU]*[wax+][wabtx+]*")
IN_MEMORY = {"BytesIO", "StringIO"}


def writes(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every call that may open a path for writing."""
    tree = ast.parse(source)
    for scope in ast.walk(tree):
        if isinstance(scope, (ast.FunctionDef, ast.Module)):
            memory = {
                name.id
                for node in ast.walk(scope)
                if isinstance(node, ast.Assign)
                for target in node.targets
                for name, value in pairs(target, node.value)
                if isinstance(value, ast.Call) and called(value) in IN_MEMORY
            }
            for node in own_calls(scope):
                if opens_for_writing(node, memory):
                    yield node.lineno, ast.unparse(node)


def pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.Name, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, other in zip(target.elts, value.elts, strict=True):
            yield from pairs(one, other)
    elif isinstance(target, ast.Name):
        yield target, value


def own_calls(scope: ast.AST) -> Iterator[ast.Call]:
    """Calls in a scope but for those in functions inside."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef):
            yield from own_calls(child)
            if isinstance(child, ast.Call):
                yield child


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def opens_for_writing(node: ast.Call, memory: set[str]) -> bool:
    name, method = called(node), isinstance(node.func, ast.Attribute)
    first = [arg.id if isinstance(arg, ast.Name) else type(arg).__name__ for arg in node.args[:2]]
    if name in ("save", "dump", "writer") and method:
        return bool(first) and not (memory & set(first) or first[0] == "Dict")
    if name == "replace" and method and getattr(node.func.value, "id", "") == "os":
        return True
    if name == "open" and method and getattr(node.func.value, "id", "") == "os":
        return not (len(node.args) == 2 and ast.unparse(node.args[1]) == "os.O_RDONLY")
    if name in ("open", "fdopen", "GzipFile", "ZipFile", "TarFile"):
        given = [*node.args[:2], *(k.value for k in node.keywords if k.arg == "mode")]
        modes = [arg.value for arg in given if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        unclear = any(not isinstance(k.value, ast.Constant) for k in node.keywords if k.arg == "mode")
        return unclear or any(MODE.fullmatch(mode) for mode in modes)
    return name in WRITING and not memory & set(first) and not (name == "configure" and method)


FILES = {str(f.relative_to(ROOT)): f for package in ("gan_env", "agents") for f in (ROOT / package).rglob("*.py")}


@pytest.mark.parametrize("name", sorted(set(FILES) - {WRITER}))
def test_nothing_else_opens_a_path_for_writing(name):
    found = [
        f"{name}:{line}: {text}"
        for line, text in writes(FILES[name].read_text())
        if not any(name == file and words in text for file, words in ALLOWED)
    ]
    assert not found, f"write through gan_env.io.files: {found}"


def test_the_writer_itself_is_seen_and_every_exception_is_needed():
    assert list(writes(FILES[WRITER].read_text()))
    for name, words in ALLOWED:
        assert any(words in text for _, text in writes(FILES[name].read_text())), (name, words)


@pytest.mark.parametrize(
    "line",
    [
        "open(path, 'w')", "open(path, mode='ab')", "path.open('x')", "path.open('r+b')", "gzip.open(path, 'wt')",
        "path.write_text('')", "path.write_bytes(b'')", "np.save(path, x)", "np.savez(path, x=x)",
        "torch.save(x, path)", "figure.savefig(path)", "save_file(x, path)", "picture.save(path)",
        "os.open(path, os.O_WRONLY)",
        "os.replace(a, b)", "json.dump(x, file)", "shutil.copyfile(a, b)", "imageio.mimsave(path, x)",
        "open(p, mode=m)",
        "def f():\n    b = io.BytesIO()\n    def g():\n        return 1\n    picture.save(path)", "path.touch()",
    ],
)  # fmt: skip
def test_a_call_that_writes_is_noticed(line):
    assert list(writes(line))


@pytest.mark.parametrize(
    "line",
    [
        "open(path)",
        "path.open('rb')",
        "gzip.open(path, 'rt')",
        "b = io.BytesIO()\npicture.save(b, 'png')",
        "x.save({})",
    ],
)
def test_a_call_that_reads_or_keeps_to_memory_is_not(line):
    assert not list(writes(line))
