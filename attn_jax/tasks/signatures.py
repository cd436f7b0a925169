"""Kinds of files, recognized by their first bytes, since a name may not fit the content."""

__all__ = ["GZIP", "describe_content"]

GZIP = b"\x1f\x8b"
"""The bytes that every gzip file begins with."""

_SIGNATURES = {
    GZIP: "a gzip file",
    b"PK\x03\x04": "a zip archive (a wheel, an npz file or a spreadsheet is one too)",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"(\xb5/\xfd": "a Zstandard file",
    b"7z\xbc\xaf": "a 7z archive",
    b"\xd0\xcf\x11\xe0": "an old Microsoft Office file",
    b"%PDF": "a PDF file",
    b"\x93NUMPY": "a NumPy file",
    b"\x89PNG": "a PNG image",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"version https://git-lfs": "a Git LFS pointer, which only names the file",
}
_WEB = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")


def describe_content(content: bytes) -> str | None:
    r"""Name the kind of file that bytes begin like.

    Args:
        content: The file's bytes, or its first 512.

    Returns:
        A noun with its article, or None for a kind that is not known.

    Example:
        >>> describe_content(b"<!DOCTYPE html><html>404 Not Found"), describe_content(b"a\\tb")
        ('a web page', None)
    """
    if content[:512].lstrip().lower().startswith(_WEB):
        return "a web page"
    kinds = (kind for start, kind in _SIGNATURES.items() if content.startswith(start))
    return next(kinds, None)
