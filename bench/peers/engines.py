"""Inference by each engine: ENGINES has a function and the name of the file it reads. Each imports its engine itself and no other.

    function(path, threads, x) -> run, about

run()    the logits of x, computed anew each time, as a NumPy array (a PyTorch tensor for PyTorch); what can be prepared once is done before
about    the engine's version, and the precision that it computes in

As a program, for start.py: the first prediction of a process, then one line.

    engines.py ENGINE FILE THREADS X.npy LOGITS.npy
"""
import os
import sys

import numpy as np


def pytorch_about():
    import torch
    return {"version": torch.__version__, "precision": "float32"}


def pytorch(path, threads, x, last=False, compiled=False):
    import torch

    from model import load
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    net, x = load(path), torch.from_numpy(x)
    if last:
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    if compiled:
        import torch._inductor.config as inductor
        inductor.freezing = True  # weights are constants: BN folded, weights laid out once
        net = torch.compile(net)
    return lambda: net(x), pytorch_about()


def pytorch_last(path, threads, x):
    return pytorch(path, threads, x, last=True)


def pytorch_compiled(path, threads, x):
    return pytorch(path, threads, x, last=True, compiled=True)


def pytorch_jit(path, threads, x):
    import torch
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    net, x = torch.jit.optimize_for_inference(torch.jit.load(path)), torch.from_numpy(x)
    return lambda: net(x), pytorch_about()


def onnx_runtime(path, threads, x):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_free_dimension_override_by_name("n", len(x))
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})[0], {"version": onnxruntime.__version__, "precision": "float32"}


def openvino(path, threads, x, asked=None):
    import openvino as ov
    core = ov.Core()
    model = core.read_model(path)
    model.reshape(list(x.shape))
    compiled = core.compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, **(asked or {})})
    request = compiled.create_infer_request()
    precision = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}[compiled.get_property("INFERENCE_PRECISION_HINT").to_string()]

    def run():
        request.infer({0: x}, share_inputs=True)
        return request.get_output_tensor(0).data
    return run, {"version": ov.__version__.partition("-")[0], "precision": precision}


def openvino_f32(path, threads, x):
    return openvino(path, threads, x, {"INFERENCE_PRECISION_HINT": "f32"})


def ncnn(path, threads, x):
    """It has no batches: inputs are run one after the other."""
    import ncnn as nc
    net = nc.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    for option in ("fp16_storage", "fp16_packed", "fp16_arithmetic", "bf16_storage", "bf16_packed"):
        setattr(net.opt, "use_" + option, False)
    if net.load_param(path) or net.load_model(path.replace(".param", ".bin")):
        raise SystemExit(f"{path}: ncnn cannot load it")
    inputs = [nc.Mat(item).clone() for item in x]

    def one(item):
        extractor = net.create_extractor()
        extractor.input("in0", item)
        return np.array(extractor.extract("out0")[1])
    return lambda: np.stack([one(item) for item in inputs]), {"version": nc.__version__, "precision": "float32"}


ENGINES = {
    "torch": (pytorch, "weights.pt"),
    "torch-last": (pytorch_last, "weights.pt"),
    "torch-jit": (pytorch_jit, "net.ts"),
    "torch-compiled": (pytorch_compiled, "weights.pt"),
    "onnxruntime": (onnx_runtime, "net.onnx"),
    "openvino-f32": (openvino_f32, "net.xml"),
    "openvino": (openvino, "net.xml"),
    "ncnn": (ncnn, "net.ncnn.param")}


def first_prediction(engine, path, threads, x, logits):
    run, _ = ENGINES[engine][0](path, int(threads), np.load(x))
    np.save(logits, run())
    os._exit(0)  # what an engine does to end is not part of the prediction


if __name__ == "__main__":
    first_prediction(*sys.argv[1:])
