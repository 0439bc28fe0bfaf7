"""What each attention head of a query-title relevance BERT does, which ones matter, and which can go."""
