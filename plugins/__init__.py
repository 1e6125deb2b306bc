"""The built-in plugins, one file per supplier, grouped by hook. They register like anybody's."""
