"""The article's findings judged on this run."""
