"""Checkpoints, tokens, fine-tuning, inference, and the baselines that BERT is compared with."""
