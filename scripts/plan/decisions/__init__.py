"""What the rules ask: the analysis, its sources, queries to archives, the wanted results, and what is counted again."""
