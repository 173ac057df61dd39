"""The job as an NVIDIA FLARE recipe, run by FLARE's simulator."""
