#!/usr/bin/env python3
"""Golden values of spectrogram features, made by the libraries whose conventions we follow. For developers; tests only read the result.

  features.py librosa    > tests/golden/features_librosa.txt       needs librosa 0.10 or later
  features.py torchaudio > tests/golden/features_torchaudio.txt    needs torch and torchaudio
  features.py kaldi      > tests/golden/features_kaldi.txt         needs torch and torchaudio

--package FOLDER takes torchaudio's Python files from an unpacked package, without its compiled parts (they are not used here).

Everything is computed in double, so that the files show the convention and not the library's rounding. Format, per case:

  case NAME
  signal KIND RATE COUNT
  features JSON
  shape BINS FRAMES
  mean VALUE              of all values
  at INDEX VALUE          150 of them, index into [bins][frames]
"""
import argparse
import json
import sys
import types

import numpy


def signal(kind, count):
    """Integers in int16's range / 32768, the same in tests/check_features.c: exact in float."""
    n = numpy.arange(count, dtype=numpy.int64)
    x = numpy.floor((((n * n * 7919 + n * 104729) % 65536) - 32768) / 8)
    if kind == "burst":  # loud noise, a faint part, digital silence
        third = count // 3
        x = numpy.where(n < third, x, numpy.where(n < 2 * third, numpy.floor(x / 1024), 0))
    if kind == "steps":  # a rising square wave over a small offset
        x = ((n * n // 2000) % 2) * 8000 - 3900 + (n * 37) % 11
    return x / 32768


def emit(name, kind, rate, count, features, values):
    values = numpy.asarray(values, dtype=numpy.float64)
    assert values.shape[0] == features["bins"], (values.shape, features)
    print(f"case {name}")
    print(f"signal {kind} {rate} {count}")
    print("features " + json.dumps(features))
    print(f"shape {values.shape[0]} {values.shape[1]}")
    print(f"mean {values.mean():.9g}")
    flat = values.reshape(-1)
    for i in range(150):
        at = i * 7919 % flat.size if i > 8 else min(i * values.shape[1], flat.size - 1)
        print(f"at {at} {flat[at]:.9g}")


def describe(convention, rate, window_samples, hop, bins, **other):
    features = {
        "convention": convention, "rate": rate, "channel": 0, "bins": bins,
        "window_ms": window_samples * 1000 / rate, "hop_ms": hop * 1000 / rate, "window": "hann",
        "low_hz": 0.0, "high_hz": 0.0, "preemphasis": 0.0, "amplitude": 1.0,
        "scale": "db", "normalise": "none", "seconds": 3.0,
    }
    features.update(other)
    return features


def with_librosa():
    import librosa

    def case(name, kind, rate, count, window, hop, bins, window_name="hann", low=0.0, high=0.0, scale="db"):
        y = signal(kind, count)
        power = 1.0 if scale == "magnitude" else 2.0
        mel = librosa.feature.melspectrogram(
            y=y, sr=rate, n_fft=window, hop_length=hop, n_mels=bins, window=window_name, fmin=low, fmax=high or rate / 2,
            power=power, dtype=numpy.float64)
        if scale == "db":
            mel = librosa.power_to_db(mel)
        emit(name, kind, rate, count, describe("librosa", rate, window, hop, bins, window=window_name, low_hz=low, high_hz=high, scale=scale), mel)

    case("defaults", "noise", 22050, 22050, 2048, 512, 128)
    case("small", "noise", 16000, 16000, 512, 160, 64, low=50.0, high=7000.0)
    case("top_db", "burst", 16000, 16000, 512, 160, 40)
    case("hamming, odd window", "steps", 8000, 8000, 201, 80, 32, window_name="hamming")
    case("power", "steps", 16000, 12000, 400, 160, 48, scale="power")
    case("magnitude", "noise", 16000, 12000, 1024, 256, 48, scale="magnitude")
    case("short", "noise", 22050, 1000, 2048, 512, 64)


def load_torchaudio(package):
    import torch

    if not package:
        import torchaudio.compliance.kaldi
        import torchaudio.transforms
        return torch, torchaudio.transforms.MelSpectrogram, torchaudio.compliance.kaldi.fbank
    module = types.ModuleType("torchaudio")
    module.__path__ = [package]
    sys.modules["torchaudio"] = module
    for name in ("_lfilter_core_loop", "_lfilter", "_overdrive_core_loop"):  # filters that are looked up at import
        setattr(torch.ops.torchaudio, name, None)
    for name in ("is_sox_available", "is_kaldi_available", "is_ffmpeg_available"):
        setattr(torch.ops.torchaudio, name, lambda: False)
    import torchaudio.compliance.kaldi as kaldi
    import torchaudio.transforms._transforms as transforms
    return torch, transforms.MelSpectrogram, kaldi.fbank


def with_torchaudio(package):
    torch, mel_spectrogram, _ = load_torchaudio(package)
    torch.set_default_dtype(torch.float64)

    def case(name, kind, rate, count, window, hop, bins, window_name="hann", low=0.0, high=0.0, scale="db"):
        function = {"hann": torch.hann_window, "hamming": torch.hamming_window}[window_name]
        transform = mel_spectrogram(
            sample_rate=rate, n_fft=window, hop_length=hop, n_mels=bins, f_min=low, f_max=high or None,
            window_fn=function, power=1.0 if scale == "magnitude" else 2.0)
        mel = transform(torch.from_numpy(signal(kind, count))[None])[0]
        if scale == "db":
            mel = 10 * torch.log10(torch.clamp(mel, min=1e-10))
        emit(name, kind, rate, count, describe("torchaudio", rate, window, hop, bins, window=window_name, low_hz=low, high_hz=high, scale=scale), mel)

    case("defaults", "noise", 16000, 16000, 400, 200, 128)
    case("64 bins", "burst", 16000, 16000, 1024, 160, 64, low=20.0, high=7600.0)
    case("hamming", "steps", 8000, 8000, 256, 80, 40, window_name="hamming")
    case("odd window", "noise", 44100, 22050, 1103, 441, 64)
    case("power", "steps", 16000, 12000, 400, 160, 48, scale="power")
    case("magnitude", "noise", 22050, 12000, 512, 128, 48, scale="magnitude")


def with_kaldi(package):
    torch, _, fbank = load_torchaudio(package)
    torch.set_default_dtype(torch.float64)

    def case(name, kind, rate, count, bins, window_name="hamming", amplitude=32768.0, low=20.0, high=0.0, preemphasis=0.97, window=25.0, hop=10.0,
             scale="ln", normalise="none"):
        x = torch.from_numpy(signal(kind, count))[None] * amplitude
        values = fbank(
            x, sample_frequency=rate, num_mel_bins=bins, window_type={"hann": "hanning"}.get(window_name, window_name), low_freq=low, high_freq=high, preemphasis_coefficient=preemphasis,
            frame_length=window, frame_shift=hop, use_log_fbank=scale == "ln", use_power=scale != "magnitude", dither=0.0,
            energy_floor=0.0).T.numpy()
        if normalise != "none":
            values = values - values.mean(axis=1, keepdims=True)
        if normalise == "mean-variance":
            values = values / numpy.maximum(values.std(axis=1, keepdims=True), 1e-5)
        features = describe("kaldi", rate, 1, 1, bins, window=window_name, low_hz=low, high_hz=high, preemphasis=preemphasis, amplitude=amplitude,
                            scale=scale, normalise=normalise)
        features.update(window_ms=window, hop_ms=hop)
        emit(name, kind, rate, count, features, values)

    case("16 kHz, 80 bins", "noise", 16000, 16000, 80)
    case("povey", "noise", 16000, 16000, 80, window_name="povey")
    case("our defaults at 8 kHz", "steps", 8000, 12000, 64, normalise="mean")
    case("44.1 kHz cuts its window", "noise", 44100, 22050, 64)
    case("11.025 kHz cuts its window", "steps", 11025, 11025, 40)
    case("floor", "burst", 16000, 16000, 40, amplitude=1.0, window_name="povey")
    case("mean and variance", "burst", 16000, 16000, 40, normalise="mean-variance")
    case("range below Nyquist", "noise", 16000, 8000, 23, low=100.0, high=-400.0, preemphasis=0.0, window_name="hann")
    case("magnitude", "noise", 16000, 8000, 23, scale="magnitude", amplitude=1.0)
    case("power", "steps", 16000, 8000, 23, scale="power", amplitude=1.0, window_name="rectangular", window=32.0, hop=12.5)


def main():
    parser = argparse.ArgumentParser(description="Golden values of spectrogram features")
    parser.add_argument("convention", choices=("librosa", "torchaudio", "kaldi"))
    parser.add_argument("--package", help="folder of torchaudio's Python files")
    options = parser.parse_args()
    if options.convention == "librosa":
        with_librosa()
    elif options.convention == "torchaudio":
        with_torchaudio(options.package)
    else:
        with_kaldi(options.package)


if __name__ == "__main__":
    main()
