"""Files that photographers have and that are no pictures yet: what they are, what to do."""

from pathlib import Path

_RAW = (
    "3fr arw cr2 cr3 crw dcr dng erf iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 sr2 srf srw"
    " x3f"
)
_HEIF = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))


def explained(path: Path, head: bytes) -> str | None:
    """What a file is and how it becomes a picture; None for one that may be a picture.

    Raw files of many cameras are TIFFs whose first picture is a thumbnail, so the name decides.

    Arguments:
        path: its name.
        head: its first 12 bytes.
    """
    if path.suffix[1:].lower() in _RAW.split():
        return (
            f"{path} is a camera raw file: develop it first, into a 16-bit TIFF "
            f"(darktable and RawTherapee export one; dcraw -6 -T writes one)"
        )
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF:
        return (
            f"{path} is a HEIC picture of a phone: convert it to PNG or TIFF first "
            f"(heif-convert, or the export of any photo program)"
        )
    if head[4:8] == b"ftyp" and head[8:11] == b"avi":
        return f"{path} is an AVIF picture: convert it to PNG or TIFF first"
    return None
