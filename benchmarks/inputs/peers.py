"""Scripts of the tools alone, from accessions to tables: one that a careful person writes today, and the steps of 2017.

They run in an empty folder with ``runs.txt`` (a run a line) or ``libraries.txt`` (an experiment and its runs a line).
Reads are deleted as soon as they are used.
"""

_START = r"""
set -euo pipefail
export LC_ALL=C
fetch() {  # a run, and options of fasterq-dump
    prefetch --max-size u -O sra "$1"
    fasterq-dump --temp tmp -O fastq "${@:2}" "sra/$1"
    rm -r "sra/$1"
    $PACK fastq/"$1"_[12].fastq
}
star() { STAR --genomeDir "$INDEX" --readFilesCommand zcat "$@"; }
load() { STAR --genomeDir "$INDEX" --genomeLoad "$1" --outFileNamePrefix load/; }
export -f fetch star
mkdir sra fastq tmp load
"""

PLATES = f"""{_START}
cell() {{
    fetch "$1" --split-3 --threads 1
    star --genomeLoad LoadAndKeep --runThreadN 1 --readFilesIn fastq/"$1"_[12].fastq.gz \\
        --outFileNamePrefix "aligned/$1/" --outSAMtype BAM Unsorted $PRESET
    rm fastq/"$1"_*
}}
export -f cell
mkdir aligned
load LoadAndExit
xargs -P 2 -I {{}} bash -euo pipefail -c 'cell {{}}' <runs.txt
load Remove
mapfile -t runs <runs.txt
files=("${{runs[@]/#/aligned/}}")
"$PYTHON" -m HTSeq.scripts.count -n 2 -q -r name -s no -f bam -m intersection-nonempty \\
    --secondary-alignments ignore --supplementary-alignments ignore \\
    "${{files[@]/%//Aligned.out.bam}}" "$ANNOTATION" >counts.tsv
rm aligned/*/Aligned.out.bam
(printf '\\t%s' "${{runs[@]}}"; echo; cat counts.tsv) | tr '\\t' , | $PACK >counts.csv.gz
rm counts.tsv
"""
"""STAR for each cell on one genome in memory, two side by side, then htseq-count on all of them at once."""

SMARTSEQ = f"""{_START}
xargs -P 2 -I {{}} bash -euo pipefail -c 'fetch {{}} --split-3 --threads 1' <runs.txt
sed 's|.*|fastq/&_1.fastq.gz\\tfastq/&_2.fastq.gz\\t&|' runs.txt >manifest.tsv
star --readFilesManifest manifest.tsv --runThreadN 2 --outFileNamePrefix solo/ $SMARTSEQ_OPTIONS
rm -r fastq
$PACK solo/Solo.out/Gene/raw/*
"""
"""One call of STARsolo (SmartSeq) on the reads of all cells."""

LIBRARIES = f"""{_START}
load LoadAndExit
while read -r experiment runs; do
    for run in $runs; do fetch "$run" --split-files --include-technical --threads 2; done
    barcode=$(printf ',fastq/%s_1.fastq.gz' $runs)
    cdna=$(printf ',fastq/%s_2.fastq.gz' $runs)
    star --genomeLoad LoadAndKeep --runThreadN 2 --readFilesIn "${{cdna#,}}" "${{barcode#,}}" \\
        --outFileNamePrefix "solo/$experiment/" $SOLO_OPTIONS
    rm fastq/*
    find "solo/$experiment/Solo.out" -type f \\( -name '*.mtx' -o -name '*.tsv' \\) -exec $PACK {{}} +
done <libraries.txt
load Remove
"""
"""STARsolo for each library, its MEX folders compressed."""

STEPS_OF_2017 = r"""
set -euo pipefail
TIMEFORMAT='%R %U %S'
cell() {
    prefetch --max-size u -O sra "$1"
    fastq-dump --split-3 --gzip -O fastq "sra/$1/$1.sra"
    STAR --genomeDir "$INDEX" --genomeLoad LoadAndKeep --readFilesIn fastq/"$1"_[12].fastq.gz \
        --readFilesCommand zcat --outFileNamePrefix "aligned/$1/" --runThreadN 1 \
        --outSAMtype BAM Unsorted --outReadsUnmapped Fastx $PRESET
    samtools sort -o "aligned/$1/sorted.bam" "aligned/$1/Aligned.out.bam"
    samtools sort -n -o "aligned/$1/named.bam" "aligned/$1/sorted.bam"
    "$PYTHON" -m HTSeq.scripts.count -q -r name -s no -f bam -m intersection-nonempty \
        "aligned/$1/named.bam" "$ANNOTATION" >"counts/$1.tsv"
    rm -r "sra/$1" fastq/"$1"_* "aligned/$1"
}
mkdir sra fastq aligned counts load
STAR --genomeDir "$INDEX" --genomeLoad LoadAndExit --outFileNamePrefix load/
while read -r run; do
    { time cell "$run" >>steps.txt 2>&1 </dev/null; } 2>>times.txt
done <runs.txt
STAR --genomeDir "$INDEX" --genomeLoad Remove --outFileNamePrefix load/
{ time "$PYTHON" -c "$JOIN" all_runs.txt >>steps.txt 2>&1; } 2>>times.txt
"""
"""Each step of each cell for itself; ``times.txt``: wall, user and system seconds of each cell, and of the join.

``all_runs.txt`` has a run and whose counts it takes a line: the join has the columns of all cells.
"""

JOIN = """
import sys
import pandas as pd

tables = []
for line in open(sys.argv[1]):
    run, counted = line.split()
    tables.append(pd.read_csv(f"counts/{counted}.tsv", sep="\\t", header=None, index_col=0, names=["gene", run]))
pd.concat(tables, axis=1).to_csv("counts.csv.gz")
"""
