"""Applications of latent codes, one sub-package per application.

- latent_codes: a map, interpolation, neighbourhoods, and codes as features
- compression, generation, restoration: autoencoders as codecs, as generators and for restoration
- classification, search, label_errors: the commands `classify`, `search` and `label-errors`

`analyses.py` lists the analyses that `hourglass study` runs. Each one takes a `LatentSpace` (a
trained network, its data and their codes) and returns a `StudyResult` (metrics, tables, figures).
`reference_results.py` measures baselines that need no trained autoencoder.

May import: evaluation, detection, training, models, networks, data, core.
"""
