"""Whether what was decided is exactly what resolvers get: the journal against the tables, the tables against the rules,
the rules against files and transfers, serials against their marks. It reads, and changes nothing."""
