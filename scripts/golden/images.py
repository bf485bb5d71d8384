#!/usr/bin/env python3
"""Golden values of pictures, made by Pillow and torchvision. For developers; tests only read the result.

  images.py resize > tests/golden/resize.txt       needs Pillow, torch and torchvision
  images.py files tests/golden/images              needs Pillow; writes small pictures of every kind and a list of what Pillow reads in them

The pictures are made by a formula, for `resize` the same in the tests. What they become is kept as the CRC-32 of its bytes. Lines of `resize`:

  resize WIDTH HEIGHT CHANNELS FILTER WIDTH HEIGHT CRC
  shorter WIDTH HEIGHT SIZE WIDTH HEIGHT CRC           bilinear RGB
  crop WIDTH HEIGHT WIDTH HEIGHT CRC                   RGB
  preset WIDTH HEIGHT SIZE FILTER CROP CRC VALUE       shorter side, crop, normalise: CRC of the floats, the first of them

Lines of FOLDER/list.txt, with the CRC of convert("RGB") and convert("L"), and of RGB after exif_transpose:

  NAME WIDTH HEIGHT RGB GREY ORIENTED
"""
import os
import struct
import sys
import warnings
import zlib

import numpy
from PIL import Image, ImageOps

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


# ---- files ----

def scene(width, height):
    """Something like a photograph: soft gradients, a disc, some noise, so that every coder has work."""
    y, x = numpy.mgrid[0:height, 0:width].astype(float)
    disc = 90.0 * ((x - width / 3) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2)
    noise = (x * 7919 + y * 104729 + x * y * 31) % 23
    planes = [3 * x + y + disc + noise, 255 - 2 * y - x / 2 - disc / 2 + noise, 128 + 100 * numpy.sin(x / 7) * numpy.cos(y / 5)]
    return numpy.clip(numpy.stack(planes, axis=2), 0, 255).astype(numpy.uint8)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(samples, depth, kind, extra=b"", interlaced=False):
    """PNG of any type: Pillow does not write all. samples [height][width][channels]."""
    height, width, _ = samples.shape
    raw = b""
    for x0, y0, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)] if interlaced else [(0, 0, 1, 1)]:
        part = samples[y0::dy, x0::dx]
        if part.shape[1]:
            for row in part:
                flat = row.reshape(-1)
                if depth == 16:
                    data = flat.astype(">u2").tobytes()
                elif depth == 8:
                    data = flat.astype(numpy.uint8).tobytes()
                else:
                    bits = "".join(format(int(v), f"0{depth}b") for v in flat)
                    bits += "0" * (-len(bits) % 8)
                    data = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
                raw += b"\0" + data
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def png_files():
    rgb = scene(29, 19).astype(int)
    grey, wide = rgb[:, :, :1], rgb * 257 + 77 & 0xffff
    alpha = (rgb[:, :, 2:] * 3) & 255
    for depth in (1, 2, 4, 8):
        for interlaced in (False, True):
            name = f"{depth}{'i' if interlaced else ''}.png"
            yield "grey" + name, png(grey >> (8 - depth), depth, 0, interlaced=interlaced)
            count = min(1 << depth, 200)
            palette = bytes((i * k + 11 * k) & 255 for i in range(count) for k in (37, 91, 151))
            extra = chunk(b"PLTE", palette) + (chunk(b"tRNS", bytes([0, 128])) if depth in (2, 8) else b"")
            yield "palette" + name, png(grey >> (8 - depth), depth, 3, extra, interlaced)
    yield "grey16.png", png(grey * 5, 16, 0)
    yield "grey16i.png", png(grey * 257, 16, 0, interlaced=True)
    yield "grey8t.png", png(grey, 8, 0, chunk(b"tRNS", b"\0\x80"))
    yield "greyalpha8.png", png(numpy.concatenate([grey, alpha], 2), 8, 4)
    yield "greyalpha16.png", png(numpy.concatenate([wide[:, :, :1], alpha * 99], 2), 16, 4)
    yield "rgb8.png", png(rgb, 8, 2, chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"tRNS", b"\0\1\0\2\0\3"))
    yield "rgb8i.png", png(rgb, 8, 2, interlaced=True)
    yield "rgb16.png", png(wide, 16, 2)
    yield "rgba8.png", png(numpy.concatenate([rgb, alpha], 2), 8, 6)
    yield "rgba8i.png", png(numpy.concatenate([rgb, alpha], 2), 8, 6, interlaced=True)
    yield "rgba16.png", png(numpy.concatenate([wide, alpha * 99], 2), 16, 6)
    yield "one.png", png(rgb[:1, :1], 8, 2, interlaced=True)
    exif = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
    yield "turned6.png", png(rgb, 8, 2, chunk(b"eXIf", exif))


def encoded(image, kind, **options):
    import io
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg_files():
    image = Image.fromarray(scene(61, 45))
    for name, sampling in [("444", 0), ("422", 1), ("420", 2), ("411", "4:1:1")]:
        yield f"rgb{name}.jpg", encoded(image, "jpeg", quality=85, subsampling=sampling)
        yield f"rgb{name}p.jpg", encoded(image, "jpeg", quality=60, subsampling=sampling, progressive=True)
    yield "low.jpg", encoded(image, "jpeg", quality=8)
    yield "restart.jpg", encoded(image, "jpeg", quality=75, restart_marker_blocks=3)
    yield "untransformed.jpg", encoded(image, "jpeg", quality=80, keep_rgb=True)
    yield "grey.jpg", encoded(image.convert("L"), "jpeg", quality=75)
    yield "greyp.jpg", encoded(image.convert("L"), "jpeg", quality=75, progressive=True)
    cmyk = numpy.concatenate([255 - scene(61, 45), (scene(61, 45)[:, :, 2:] // 3)], 2)
    yield "cmyk.jpg", encoded(Image.fromarray(cmyk, "CMYK"), "jpeg", quality=80)
    yield "one.jpg", encoded(image.crop((0, 0, 1, 1)), "jpeg")
    for orientation in range(9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"turned{orientation}.jpg", encoded(image.crop((0, 0, 21, 13)), "jpeg", quality=70, exif=exif)


def webp_files():
    image = Image.fromarray(scene(61, 45))
    alpha = image.copy()
    alpha.putalpha(Image.fromarray(scene(61, 45)[:, :, 2]))
    exif = Image.Exif()
    exif[0x0112] = 8
    yield "lossy.webp", encoded(image, "webp", quality=70)
    yield "lossyalpha.webp", encoded(alpha, "webp", quality=70)
    yield "lossless.webp", encoded(image.crop((0, 0, 33, 21)), "webp", lossless=True)
    yield "losslessalpha.webp", encoded(alpha.crop((0, 0, 33, 21)), "webp", lossless=True, exact=True)
    yield "turned8.webp", encoded(image.crop((0, 0, 33, 21)), "webp", exif=exif)
    frames = [alpha.crop((k, 0, 30 + k, 20)) for k in range(3)]
    yield "animated.webp", encoded(frames[0], "webp", save_all=True, append_images=frames[1:], quality=50)


def pnm_files():
    rgb = scene(19, 7).astype(int)
    grey = rgb[:, :, 0]
    text = lambda values: b"\n".join(b" ".join(b"%d" % v for v in row.reshape(-1)) for row in values)
    yield "p1.pbm", b"P1\n# bits\n19 7\n" + b"\n".join(b"".join(b"%d" % (v > 128) for v in row) for row in grey) + b"\n"
    yield "p2.pgm", b"P2 19 7 255\n" + text(grey)
    yield "p2_1000.pgm", b"P2 19 # the width\n7 1000\n" + text(grey // 16)
    yield "p3.ppm", b"P3\n19 7\n100\n" + text(rgb * 100 // 255)
    bits = [numpy.packbits(row > 128).tobytes() for row in grey]
    yield "p4.pbm", b"P4 19 7\n" + b"".join(bits)
    yield "p5.pgm", b"P5\n19 7\n255\n" + grey.astype(numpy.uint8).tobytes()
    yield "p5_15.pgm", b"P5\n19 7\n15\n" + (grey >> 4).astype(numpy.uint8).tobytes()
    yield "p5_65535.pgm", b"P5\n19 7\n65535\n" + (grey * 3).astype(">u2").tobytes()
    yield "p5_4095.pgm", b"P5\n19 7\n4095\n" + (grey // 9).astype(">u2").tobytes()
    yield "p6.ppm", b"P6 19 7 255\n" + rgb.astype(numpy.uint8).tobytes()
    yield "p6_7.ppm", b"P6 19 7 7\n" + (rgb >> 5).astype(numpy.uint8).tobytes()
    yield "p6_65535.ppm", b"P6 19 7 65535\n" + (rgb * 257 + 3 & 0xffff).astype(">u2").tobytes()


def bmp(rows, width, height, bits, palette=b"", masks=b"", head=40, compression=0):
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    if head == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    elif head > 40:
        info = struct.pack("<I", head) + info[4:] + masks.ljust(head - 40, b"\0")
        masks = b""
    start = 14 + len(info) + len(masks) + len(palette)
    data = b"".join(row + b"\0" * (-len(row) % 4) for row in rows)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + info + masks + palette + data


def bmp_files():
    rgb = scene(19, 7).astype(int)
    grey = rgb[::-1, :, 0]
    def colours(count, entry):
        return b"".join(bytes([i * 37 & 255, i * 91 + 5 & 255, i * 151 + 9 & 255, 0])[:entry] for i in range(count))
    def packed(values, bits):
        rows = []
        for row in values:
            text = "".join(format(int(v), f"0{bits}b") for v in row)
            text += "0" * (-len(text) % 8)
            rows.append(bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8)))
        return rows
    for bits in (1, 4, 8):
        yield f"palette{bits}.bmp", bmp(packed(grey >> (8 - bits), bits), 19, 7, bits, colours(1 << bits, 4))
    yield "os2_8.bmp", bmp(packed(grey, 8), 19, 7, 8, colours(256, 3), head=12)
    yield "blackwhite.bmp", bmp(packed(grey >> 7, 1), 19, 7, 1, bytes([0, 0, 0, 0, 255, 255, 255, 0]))
    bgr = rgb[::-1, :, ::-1].astype(numpy.uint8)
    yield "rgb24.bmp", bmp([row.tobytes() for row in bgr], 19, 7, 24)
    yield "above24.bmp", bmp([row.tobytes() for row in bgr], 19, -7, 24)
    yield "os2_24.bmp", bmp([row.tobytes() for row in bgr], 19, 7, 24, head=12)
    bgrx = numpy.concatenate([bgr, bgr[:, :, :1]], 2)
    yield "rgb32.bmp", bmp([row.tobytes() for row in bgrx], 19, 7, 32)
    masks = struct.pack("<IIII", 0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    yield "rgba32v5.bmp", bmp([row.tobytes() for row in bgrx], 19, 7, 32, masks=masks, head=124, compression=3)
    yield "masks32.bmp", bmp([row.tobytes() for row in bgrx], 19, 7, 32, masks=struct.pack("<III", 0xFF0000, 0xFF00, 0xFF), compression=3)
    sixteen = (rgb[::-1, :, 0] * 256 + rgb[::-1, :, 1]).astype("<u2")
    yield "rgb555.bmp", bmp([row.tobytes() for row in sixteen], 19, 7, 16)
    yield "rgb565.bmp", bmp([row.tobytes() for row in sixteen], 19, 7, 16, masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F), compression=3)


def files():
    folder = sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    warnings.simplefilter("ignore")
    lines = []
    for make in (png_files, jpeg_files, webp_files, pnm_files, bmp_files):
        for name, data in make():
            path = os.path.join(folder, name)
            with open(path, "wb") as file:
                file.write(data)
            try:
                with Image.open(path) as image:
                    rgb, grey, turned = image.convert("RGB"), image.convert("L"), ImageOps.exif_transpose(image).convert("RGB")
            except Exception as error:
                raise RuntimeError(name) from error
            lines.append(f"{name} {rgb.width} {rgb.height} " + " ".join(str(zlib.crc32(i.tobytes())) for i in (rgb, grey, turned)) + "\n")
    with open(os.path.join(folder, "list.txt"), "w") as file:
        file.writelines(lines)


{"resize": resize, "files": files}[sys.argv[1]]()
