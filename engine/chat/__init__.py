"""One question on its way to an answer: prompt, tail, sampling, detokenising, and the caches between turns."""
