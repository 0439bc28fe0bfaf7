"""One module a DVC stage, in dvc.yaml's order. Each has ``main(params, record)``: read, call, write, record."""
