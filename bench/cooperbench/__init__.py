"""CooperBench's pairs of real feature patches, carried through the real product.

`python -m bench.cooperbench --dataset FOLDER --mirrors FOLDER`; docs/benchmarks.md says what for.
"""
