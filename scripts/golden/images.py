#!/usr/bin/env python3
"""Golden values of pictures, made by Pillow and torchvision. For developers; tests only read the result.

  images.py resize > tests/golden/resize.txt       needs Pillow, torch and torchvision

The pictures are made by a formula, the same in the tests. What they become is kept as the CRC-32 of its bytes. Lines:

  resize WIDTH HEIGHT CHANNELS FILTER WIDTH HEIGHT CRC
  shorter WIDTH HEIGHT SIZE WIDTH HEIGHT CRC           bilinear RGB
  crop WIDTH HEIGHT WIDTH HEIGHT CRC                   RGB
  preset WIDTH HEIGHT SIZE FILTER CROP CRC VALUE       shorter side, crop, normalise: CRC of the floats, the first of them
"""
import sys
import zlib

import numpy
from PIL import Image

FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS, "box": Image.BOX}


def pattern(width, height, channels):
    """Slopes, stripes of one pixel and edges, so that filters overshoot."""
    y, x = numpy.mgrid[0:height, 0:width].astype(numpy.int64)
    planes = [7 * x + 13 * y, 255 * ((x // 3 + y // 2) % 2), x * y + 3 * x][:channels]
    values = numpy.stack(planes, axis=2) % 256
    return Image.fromarray((values[:, :, 0] if channels == 1 else values).astype(numpy.uint8))


resize_once = Image.Image.resize


def across_then_down(image, size, code):
    """The order of every Pillow below 13; 13 turns it round for some tall pictures and where the height shrinks much more than the width."""
    return resize_once(resize_once(image, (size[0], image.size[1]), code), size, code)


Image.Image.resize = across_then_down  # torchvision calls it too


def resize():
    sizes = [((64, 48), (32, 24)), ((64, 48), (31, 23)), ((37, 53), (200, 11)), ((37, 53), (11, 200)), ((5, 3), (64, 65)), ((1, 1), (9, 7)),
             ((1, 40), (3, 3)), ((40, 1), (3, 3)), ((300, 200), (1, 1)), ((97, 61), (97, 30)), ((97, 61), (30, 61)), ((97, 61), (97, 61)),
             ((3000, 2), (7, 5)), ((2, 3000), (5, 7)), ((301, 199), (256, 170)), ((256, 256), (255, 257))]
    for channels in (1, 3):
        for name, code in FILTERS.items():
            for have, want in sizes:
                out = pattern(*have, channels).resize(want, code)
                print("resize", *have, channels, name, *want, zlib.crc32(out.tobytes()))
    import torch
    from torchvision import transforms
    from torchvision.transforms import InterpolationMode

    for have in [(300, 200), (200, 300), (101, 100), (100, 101), (333, 77), (77, 333), (640, 427), (64, 64), (3, 1000)]:
        for size in (7, 64, 100):
            out = transforms.Resize(size)(pattern(*have, 3))
            print("shorter", *have, size, *out.size, zlib.crc32(out.tobytes()))
    for have in [(225, 227), (229, 257), (259, 224), (224, 231), (10, 300), (300, 10), (9, 10), (223, 221), (224, 224)]:
        for want in [(224, 224), (9, 7), (10, 11)]:
            out = transforms.CenterCrop(want[::-1])(pattern(*have, 3))
            print("crop", *have, *want, zlib.crc32(out.tobytes()))
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    modes = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC, "lanczos": InterpolationMode.LANCZOS,
             "box": InterpolationMode.BOX}
    for have in [(300, 200), (213, 320), (100, 90)]:
        for name, mode in modes.items():
            for size, crop in [(256, 224), (232, 224), (64, 70)]:
                steps = [transforms.Resize(size, mode), transforms.CenterCrop(crop), transforms.ToTensor(), transforms.Normalize(mean, std)]
                out = transforms.Compose(steps)(pattern(*have, 3))
                assert out.dtype == torch.float32
                print("preset", *have, size, name, crop, zlib.crc32(out.numpy().tobytes()), f"{out.flatten()[0]:.9g}")


{"resize": resize}[sys.argv[1]]()
