"""Sweeps: one scenario under many settings, a run each, in folders of their own.

A sweep's folder holds `scenarios/` (what each run runs), `runs/` (finished and unfinished ones), `failed/`,
`sweep.json`, `sweep.csv` and `index.html`.
"""
