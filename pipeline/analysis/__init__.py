"""What the numbers mean: arrays and frames in, frames out. No torch models, no files."""
