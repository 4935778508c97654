"""The answers of the archives, as they are kept and read: family files, SRA's XML, reports of ENA."""
