"""How the open body is made from MakeHuman's CC0 assets: `python -m models.body.recipe --out open_body.npz`.

Needed to build the packaged file only. The road: assets -> people (phenotypes) -> standing shapes -> T-pose -> basis
and joint regressor.
"""
