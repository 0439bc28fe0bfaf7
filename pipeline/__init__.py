"""What each attention head of a query-title relevance BERT does, which ones matter, and which can go."""

import sys

if sys.argv[0] == "-m":  # a command, python -m pipeline..., whose module is about to be imported
    from pipeline.core.interpreter import use_project_interpreter

    use_project_interpreter()
