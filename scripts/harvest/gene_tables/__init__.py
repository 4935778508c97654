"""Tables of a row a gene: counts of shards and a table of genes in, text of CSV out. Begin with gene_rows."""
