"""One correction on its way to a version: lessons, examples, states, training, checks, report."""
