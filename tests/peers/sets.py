#!/usr/bin/env python3
"""Data sets that others write, and embeddings that others read: webdataset's tars, kaldiio's archives. Usage: sets.py RESNET SET RUN EMBEDDING.npy

Catches: a key cut elsewhere than webdataset cuts it, an offset that kaldiio counts otherwise, a recording that is read differently inside an archive.
"""
import glob
import json
import os
import subprocess
import sys

import kaldiio
import numpy as np
import soundfile
import webdataset


def split(resnet, data, out):
    """{item: (label, hash of its bytes)} as `data split` writes them."""
    subprocess.run([resnet, "data", "split", data, "-o", out], check=True, stdout=subprocess.DEVNULL)
    with open(out, encoding="utf-8") as f:
        rows = [line.rstrip("\n").split(",") for line in f][1:]
    return {row[5]: (row[1], row[2]) for row in rows}


def main():
    resnet, data, run, embedding = sys.argv[1:5]
    files = sorted(glob.glob(os.path.join(data, "class*", "*.wav")))
    bytes_of = {name: open(name, "rb").read() for name in files}

    with webdataset.ShardWriter("shard-%06d.tar", maxcount=20, verbose=0) as shards:
        for i, name in enumerate(files):
            shards.write({"__key__": f"a.b/{i:03d}", "flac.txt": "no sound", "wav": bytes_of[name], "cls": i % 3, "txt": "a caption"})
    count = len(glob.glob("shard-*.tar"))
    pattern = f"shard-{{000000..{count - 1:06d}}}.tar"
    theirs = {s["__key__"]: s for s in webdataset.WebDataset(pattern, shardshuffle=False)}
    ours = split(resnet, pattern, "shards.csv")
    assert len(ours) == len(theirs) == len(files), (len(ours), len(theirs), len(files))
    for name, (label, _) in ours.items():
        assert label == theirs[name.split("/", 1)[1].removesuffix(".wav")]["cls"].decode(), name
    folder = split(resnet, data, "folder.csv")
    assert sorted(h for _, h in ours.values()) == sorted(h for _, h in folder.values())
    print(f"{pattern}: {len(ours)} samples, keys, classes and bytes as webdataset has them")

    os.mkdir("kaldi")
    with kaldiio.WriteHelper("ark,scp:kaldi/wav.ark,kaldi/wav.scp") as archive, open("kaldi/utt2spk", "w", encoding="utf-8") as speakers:
        for i, name in enumerate(files):
            samples, rate = soundfile.read(name, dtype="int16")
            archive(f"s{i % 3}-{i:03d}", (rate, samples))
            speakers.write(f"s{i % 3}-{i:03d} s{i % 3}\n")
    subprocess.run([resnet, "embed", f"{run}/model.safetensors", data, "-o", "e.ark"], check=True, stderr=subprocess.DEVNULL)
    stats = subprocess.run([resnet, "data", "stats", "kaldi", "--json"], check=True, capture_output=True, text=True).stdout
    assert json.loads(stats)["items"] == len(files) and [c["items"] for c in json.loads(stats)["classes"]] == [len(files[k::3]) for k in range(3)]
    print(f"kaldi: {len(files)} recordings in kaldiio's archive")

    vectors, rows = kaldiio.load_scp("e.scp"), np.load(embedding)
    with open(embedding[:-4] + ".paths.txt", encoding="utf-8") as f:
        keys = [line.split("\t")[0] for line in f]
    assert list(vectors) == keys and all(np.array_equal(vectors[k], rows[i]) for i, k in enumerate(keys))
    print(f"e.ark: {len(keys)} vectors, in kaldiio those of {embedding}")


if __name__ == "__main__":
    main()
