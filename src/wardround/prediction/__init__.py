"""A finished model's answers for records: from a run folder, a registry or an ONNX file, by ONNX Runtime, without torch."""
