"""Pictures that notebooks show and that can be saved as files. Imports matplotlib."""

import io
from pathlib import Path

from matplotlib.figure import Figure

from tvb_batch.models.errors import OutputError

#: Suffixes of pictures.
KINDS = (".png", ".svg", ".pdf", ".jpg")


class Picture(Figure):
    """A figure that a notebook shows."""

    def _repr_png_(self) -> bytes:
        png = io.BytesIO()
        self.savefig(png, format="png", dpi=80)
        return png.getvalue()


def save_picture(picture: Picture, path: Path) -> None:
    """Write the picture; the suffix chooses the format.

    Raises
    ------
    OutputError
        The suffix is not a picture format, or the file cannot be written.
    """
    if path.suffix.lower() not in KINDS:
        raise OutputError(f"{path}: not a picture format; expected a name that ends in {', '.join(KINDS)}")
    try:
        picture.savefig(path, dpi=150)
    except OSError as exc:
        raise OutputError(f"{path}: cannot be written ({exc.strerror}); choose another path") from exc
