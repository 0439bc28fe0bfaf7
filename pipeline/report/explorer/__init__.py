"""The explorer: one offline page over every attention head of a run, reports/explorer.html."""
