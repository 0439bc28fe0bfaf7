"""Files that hold something else than their name says: Git LFS pointers, web pages, pickles."""

from pathlib import Path

from pipeline.core.errors import InputError

# First bytes -> what such a file is, and the fix.
STAND_INS = {
    b"version https://git-lfs.github.com/spec/": (
        "a Git LFS pointer, which stands for the file",
        "run `git lfs pull` where it was cloned, or download the file itself",
    ),
    b"<!doctype html": ("a web page", "download the file itself (a hub's /resolve/ address, not /blob/)"),
    b"<html": ("a web page", "download the file itself (a hub's /resolve/ address, not /blob/)"),
}
PICKLE = b"PK\x03\x04"  # torch.save writes a zip archive
LONGEST = max(map(len, STAND_INS))


def check_content(path: Path) -> None:
    """Check that an existing file is not a stand-in for what its name says.

    Raises:
        InputError: it is a Git LFS pointer or a web page; or weights are pickled under a safetensors name.
    """
    with path.open("rb") as file:
        start = file.read(LONGEST)
    for beginning, (kind, fix) in STAND_INS.items():
        if start.lower().startswith(beginning):
            raise InputError(f"{path} is {kind}; {fix}")
    if path.suffix == ".safetensors" and start.startswith(PICKLE):
        raise InputError(
            f"{path} is a pickle of torch.save, which is never loaded, under another name; save the model again by "
            "save_pretrained of transformers 5"
        )
