"""Cases for tests.fuzzing: folders of files of htseq-count and logs of STAR with faults, as tables are made of them."""

import gzip

from scripts.harvest import counts_table, log_table
from scripts.plates.shard_counts import TALLIES
from tests import fuzzing
from tests.star.test_log import NEW

COUNTS = "".join(f"g{number}\t{number * 7 % 50}\n" for number in range(30)) + "".join(
    f"{name}\t1\n" for name in TALLIES
)
NAMES = ("SRR1,x", "a;b", "../x", "-rf", "=1+1", "SRR\n1", "\x1b[31m", "é", '"', "SRR 9", "x" * 200)


def prepare(folder):
    (folder / "texts").mkdir(parents=True)
    for run in ("SRR1", "SRR2"):
        (folder / f"texts/{run}.mus.htseq-count.txt").write_text(COUNTS)
        (folder / f"texts/{run}.mus.Log.final.out").write_text(NEW)


def make(dice, folder):
    command, option, ending = dice.choice(
        ((counts_table, "--htseq-counts", "htseq-count.txt"), (log_table, "--logs", "Log.final.out"))
    )
    path = folder / f"texts/SRR2.mus.{ending}"
    data = path.read_bytes()
    for _ in range(dice.randrange(3)):
        data = fuzzing.spoil(dice, data)
    if not dice.randrange(5):
        data = gzip.compress(data)[: dice.choice((None, -9))]
    path.write_bytes(data)
    if not dice.randrange(4):
        name = dice.choice(NAMES).replace("/", "_")
        path.rename(path.with_name(f"{name}.mus.{ending}"))
    output = folder / "table.csv.gz"
    arguments = [option, str(folder / "texts"), "--species", "mus", "--output", str(output)]

    def call():
        command.main(arguments)
        widths = {len(line.split(",")) for line in gzip.decompress(output.read_bytes()).decode().split("\n") if line}
        assert widths == {3} or command is log_table

    return repr((path.name, data[:300])), call, None
