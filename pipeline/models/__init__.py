"""Models: checkpoints, tokenization, fine-tuning, inference."""
