"""Files that hold something else than their name says: Git LFS pointers, web pages, archives, pickles."""

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
# The same of files whose name says that they are text.
TEXTS = (".csv", ".tsv", ".jsonl", ".json", ".txt")
PACKED = {
    b"\x1f\x8b": ("a gzip archive", "unpack it (gunzip; a name without .gz needs `gunzip --stdout FILE > NEW`)"),
    b"BZh": ("a bzip2 archive", "unpack it (bunzip2)"),
    b"\xfd7zXZ": ("an xz archive", "unpack it (unxz)"),
    b"\x28\xb5\x2f\xfd": ("a zstd archive", "unpack it (unzstd)"),
    b"PK\x03\x04": ("a zip archive, which an Excel workbook is too", "unpack it, or save the sheet as CSV UTF-8"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "save the sheet as CSV UTF-8"),
    b"PAR1": ("a Parquet file", "give its name the ending .parquet"),
}
PICKLE = b"PK\x03\x04"  # torch.save writes a zip archive
LONGEST = max(map(len, STAND_INS))


def check_content(path: Path) -> None:
    """Check that an existing file is not a stand-in for what its name says.

    Raises:
        InputError: it is a Git LFS pointer or a web page; a text file is packed; weights are pickled under a
            safetensors name.
    """
    with path.open("rb") as file:
        start = file.read(LONGEST)
    for beginning, (kind, fix) in (STAND_INS | (PACKED if path.suffix in TEXTS else {})).items():
        if beginning in (start[: len(beginning)], start[: len(beginning)].lower()):
            raise InputError(f"{path} is {kind}; {fix}")
    if path.suffix == ".safetensors" and start.startswith(PICKLE):
        raise InputError(
            f"{path} is a pickle of torch.save, which is never loaded, under another name; save the model again by "
            "save_pretrained of transformers 5"
        )
