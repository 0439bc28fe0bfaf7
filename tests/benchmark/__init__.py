"""`python -m tests.benchmark`: what a sweep costs, beside peers and beside the least it could cost, in one run."""
