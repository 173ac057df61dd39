"""Training and scoring at a site: networks, the local loop, augmentation, ONNX. The only room that imports torch.

This file and `metrics` import no torch, so that `wardround --help` stays fast.
"""
