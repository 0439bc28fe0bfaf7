"""Baselines that BERT is compared with: a BiLSTM with interactive attention, and lexical baselines."""
