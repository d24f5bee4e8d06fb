"""The nearest codes, exactly: fast candidates, whose distances are measured again."""

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

SPARE = 8  # candidates beyond those asked for: rounding may have put them in a wrong order
BLOCK = 512  # queries at a time: what is measured again stays small
ROUNDING = 1e-9  # of squared norms: far above what the candidates' squared distances may be off


class Nearest:
    """Find the nearest of codes, (n, latent_dim) float32, by the Euclidean distance.

    scikit-learn's brute force computes distances by a matrix product, which is fast, but makes the
    distance of a code to itself other than 0 and the order of equal ones a matter of rounding. So
    the differences of the candidates are measured again, in double precision.
    """

    def __init__(self, codes: np.ndarray) -> None:
        self.codes = codes
        self.candidates = NearestNeighbors(algorithm="brute").fit(codes)
        self.candidates.kneighbors(codes[:1], 1)  # the first query of a process finds its threads

    def __call__(self, queries: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the distances to the `top` nearest codes, and their places among the codes.

        Of queries (m, latent_dim) both are (m, top), nearest first; equal distances are in the
        order of their places.
        """
        blocks = [
            self._block(queries[start : start + BLOCK], top)
            for start in range(0, len(queries), BLOCK)
        ]
        distances, places = zip(*blocks, strict=True)
        return np.concatenate(distances), np.concatenate(places)

    def _block(self, queries: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        count = min(top + SPARE, len(self.codes))
        places = self.candidates.kneighbors(queries, count, return_distance=False)
        away = self.codes[places] - queries[:, None].astype(np.float64)
        squared = np.einsum("mcf,mcf->mc", away, away)
        order = np.lexsort((places, squared))
        squared, places = (np.take_along_axis(each, order, 1) for each in (squared, places))
        if count < len(self.codes):
            self._settle(queries, squared, places, top)
        return np.sqrt(squared[:, :top]), places[:, :top]

    def _settle(
        self, queries: np.ndarray, squared: np.ndarray, places: np.ndarray, top: int
    ) -> None:
        """Measure all codes where one that is no candidate may be as near as the top-th.

        So it is among many equal codes. Both arrays, (m, candidates), are changed in place.
        """
        scale = np.square(queries, dtype=np.float64).sum(1) + squared[:, -1]
        unsettled = squared[:, -1] <= squared[:, top - 1] + ROUNDING * scale
        for i in np.flatnonzero(unsettled):
            every = cdist(queries[i : i + 1], self.codes, "sqeuclidean")[0]
            places[i] = np.argsort(every, kind="stable")[: places.shape[1]]
            squared[i] = every[places[i]]
