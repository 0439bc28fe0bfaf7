"""Export of a fine-tuned or pruned model to ONNX; needs the packages of locks/export.lock."""
