"""Which way up an image is, as EXIF says."""

# EXIF's tag of the orientation, its values that swap height and width, and what each asks for,
# of pixels of shape (H, W, C).
_ORIENTATION, _SIDEWAYS = 0x0112, {5, 6, 7, 8}
_TURNS = {
    2: lambda pixels: pixels.flip(1),
    3: lambda pixels: pixels.flip(0, 1),
    4: lambda pixels: pixels.flip(0),
    5: lambda pixels: pixels.transpose(0, 1),
    6: lambda pixels: pixels.rot90(-1),
    7: lambda pixels: pixels.transpose(0, 1).flip(0, 1),
    8: lambda pixels: pixels.rot90(),
}
# Where a PNG may hold an orientation: as EXIF, as text, or in XMP.
_PNG_MARKS = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
# TIFF's tags of width and height.
_TIFF_SIZE = 256, 257


def orientation_of(image):
    """Return what the EXIF or XMP of a PIL image asks for, from 1, which is none, to 8."""
    return image.getexif().get(_ORIENTATION, 1)


def orientation_in_file(image, file):
    """Return the same of an image that was just opened, without its pixels."""
    if image.format == "PNG":
        # Pillow would decode them, since EXIF may come after them
        file.seek(0)
        content = file.read()
        if not any(mark in content for mark in _PNG_MARKS):
            return 1
    return orientation_of(image)


def stored_size(image):
    """Return width and height as a file has them: some versions of Pillow turn TIFF's."""
    if image.format == "TIFF":
        return tuple(image.tag_v2[tag] for tag in _TIFF_SIZE)
    return image.size


def upright(size, orientation):
    """Return height and width, of width and height, once an image is turned."""
    width, height = size
    return (width, height) if orientation in _SIDEWAYS else (height, width)


def turned(pixels, orientation):
    """Return a tensor of pixels of shape (H, W, C) turned as an orientation asks."""
    return _TURNS.get(orientation, lambda pixels: pixels)(pixels)
