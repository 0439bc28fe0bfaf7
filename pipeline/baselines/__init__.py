"""What BERT is compared with: a BiLSTM with interactive attention, and graders that only see words."""
