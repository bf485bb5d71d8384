#!/usr/bin/env python3
"""Golden values of the operations of augmentation, made by Pillow and torchvision. For developers; tests only read the result.

  picture_ops.py > tests/golden/picture_ops.txt       needs Pillow, torch and torchvision

The picture is made by a formula, the same in tests/check_picture_ops.c. Lines:

  OP ARGUMENT CHANNELS CRC           brightness contrast saturation hue sharpness posterize solarize autocontrast equalize rotate
  rand|wide OP BIN SIGN CHANNELS CRC RandAugment's and TrivialAugmentWide's operation number OP at magnitude BIN
"""
import zlib

import numpy
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, functional
from torchvision.transforms.autoaugment import RandAugment, TrivialAugmentWide, _apply_op

WIDTH, HEIGHT = 43, 31


def pattern(channels):
    y, x = numpy.mgrid[0:HEIGHT, 0:WIDTH].astype(numpy.int64)
    planes = [20 + 3 * x + 2 * y, 40 + (x * y) % 150, 230 - 4 * y + 30 * ((x // 5 + y // 4) % 2)][:channels]
    values = numpy.stack(planes, axis=2) % 256
    return Image.fromarray((values[:, :, 0] if channels == 1 else values).astype(numpy.uint8))


def crc(image):
    return zlib.crc32(numpy.asarray(image).tobytes())


OPS = {
    "brightness": (functional.adjust_brightness, [0.0, 0.3, 0.75, 1.0, 1.4, 2.2]),
    "contrast": (functional.adjust_contrast, [0.0, 0.3, 0.75, 1.0, 1.4, 2.2]),
    "saturation": (functional.adjust_saturation, [0.0, 0.3, 0.75, 1.0, 1.4, 2.2]),
    "hue": (functional.adjust_hue, [-0.5, -0.21, -0.01, 0.0, 0.07, 0.33, 0.5]),
    "sharpness": (functional.adjust_sharpness, [0.0, 0.3, 1.0, 1.9]),
    "posterize": (functional.posterize, [1, 4, 7]),
    "solarize": (functional.solarize, [0.0, 127.5, 200.0]),
    "rotate": (functional.rotate, [7.0, -13.5, 90.5, 135.0]),
}

for channels in (3, 1):
    for name, (op, arguments) in OPS.items():
        for argument in arguments:
            print(name, argument, channels, crc(op(pattern(channels), argument)))
    print("autocontrast", 0, channels, crc(functional.autocontrast(pattern(channels))))
    print("equalize", 0, channels, crc(functional.equalize(pattern(channels))))
    for kind, spaces in (("rand", RandAugment()._augmentation_space(31, (HEIGHT, WIDTH))), ("wide", TrivialAugmentWide()._augmentation_space(31))):
        for number, (name, (magnitudes, signed)) in enumerate(spaces.items()):
            for b in (0, 1, 9, 15, 24, 30):
                magnitude = float(magnitudes[b].item()) if magnitudes.ndim > 0 else 0.0
                for sign in (0, 1) if signed else (0,):
                    out = _apply_op(pattern(channels), name, -magnitude if sign else magnitude, InterpolationMode.NEAREST, None)
                    print(kind, number, b, sign, channels, crc(out))
