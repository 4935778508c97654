"""What a plan takes: the size model of jobs, its cost, the disk that units hold, and what will not fit."""
