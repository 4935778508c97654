"""A Slurm of one node on loopback, for as long as a test needs it: munged, slurmctld and slurmd in a private folder.

With accounting also MariaDB and slurmdbd. All of them, and every job that they start, live in a PID namespace of their
own. Its first process ends with the test (also when that is killed), or when the time given is over; the kernel ends
all others with it. Nothing outside the folder is read or written: own key, own sockets, own ports.
"""

import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr", "sdiag")
ACCOUNTING = ("mariadbd", "slurmdbd")
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
_NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")

_CONFIGURATION = """\
ClusterName=toy
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency={gather_seconds}
JobAcctGatherParams=OverMemoryKill
MinJobAge={min_job_age}
KillWait=2
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=7-0 State=UP
"""

_NO_ACCOUNTING = "AccountingStorageType=accounting_storage/none\n"
_ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports[2]}
AccountingStoragePass={folder}/munge/socket
"""
_SLURMDBD = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={ports[2]}
SlurmUser=root
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
"""

# MariaDB with a socket in a folder that is root's alone. Its system tables are made as mariadb-install-db makes them.
_SOURCES = [Path("/usr/share/mysql") / f"mysql_system_tables{part}.sql" for part in ("", "_data")]
_MARIADBD = "mariadbd --no-defaults --user=root --datadir={folder}/database --innodb-log-file-size=8M"
_START_ACCOUNTING = f"""\
{_MARIADBD} --bootstrap <database.sql >mariadbd.out 2>&1
export MYSQL_UNIX_PORT={{folder}}/database/socket
{_MARIADBD} --skip-networking --socket=$MYSQL_UNIX_PORT >>mariadbd.out 2>&1 &
until [ -S $MYSQL_UNIX_PORT ]; do sleep 0.05; done
slurmdbd -D >slurmdbd.out 2>&1 &
until sacctmgr -i add cluster toy >sacctmgr.out 2>&1; do sleep 0.2; done
"""

# The first process of the namespace: a shell, because that also collects the steps that Slurm lets go. Its last
# command is built in: it would turn into another program, which does not collect them.
_START = """\
cd {folder}
munged --foreground --force --num-threads=2 --key-file=munge/key --seed-file=munge/seed --pid-file=munge/pid \\
    --log-file=munge/log --socket={folder}/munge/socket >munged.out 2>&1 &
until [ -S munge/socket ]; do sleep 0.05; done
{start_accounting}slurmctld -D -i >slurmctld.out 2>&1 &
slurmd -D -N {host} >slurmd.out 2>&1 &
sleep {seconds} &
wait $!
"""


def reason_to_skip(accounting: bool = False) -> str:
    """Return why there can be no Slurm here, or none with accounting; empty where there can."""
    wanted = (*DAEMONS, *CLIENTS, *(ACCOUNTING if accounting else ()))
    missing = [program for program in wanted if shutil.which(program, path=_PATH) is None]
    if missing:
        words = "slurm slurm-accounting" if accounting else "slurm"
        return f"not installed: {', '.join(missing)} (as root: envs/setup.sh {words})"
    if os.getuid():
        return "a Slurm of its own needs root"
    if subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode:
        return "PID namespaces are refused here"
    return ""


class SlurmNode:
    """A running Slurm; ``environment`` is what its clients need. A context manager.

    CPUs and memory are what the node pretends to have, not what this machine has. ``disk`` is a folder in which the
    node's jobs, and nobody else, see a disk of the node's own of ``disk_mb`` with the same empty folders. A job that
    takes more memory than it asked for is killed, also where there are no cgroups: Slurm looks at all processes every
    ``gather_seconds``, for each job. Ended jobs are remembered for ``min_job_age`` seconds; with ``accounting`` for
    ever, by slurmdbd.
    """

    def __init__(
        self,
        cpus: int = 32,
        memory_mb: int = 256_000,
        seconds: int = 600,
        disk: Path | None = None,
        disk_mb: int = 1000,
        gather_seconds: int = 1,
        min_job_age: int = 3600,
        accounting: bool = False,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-node."))
        self.folder.chmod(0o755)
        for name in ("munge", "state", "spool", "bin"):
            (self.folder / name).mkdir(mode=0o711)
        key = self.folder / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        facts = {"folder": self.folder, "host": socket.gethostname().partition(".")[0], "seconds": seconds}
        facts |= {"ports": _free_ports(3), "cpus": cpus, "memory_mb": memory_mb, "min_job_age": min_job_age}
        facts["gather_seconds"] = gather_seconds
        facts["start_accounting"] = _START_ACCOUNTING.format(**facts) if accounting else ""
        if accounting:
            self._write_accounting(facts)
        configuration = self.folder / "slurm.conf"
        text = _CONFIGURATION + (_ACCOUNTING if accounting else _NO_ACCOUNTING)
        configuration.write_text(text.format(**facts), encoding="utf-8")
        # The executor plugin's step drops every SLURM_ variable before it calls srun: the programs set it themselves.
        for program in CLIENTS:
            path = self.folder / "bin" / program
            real = shlex.quote(str(shutil.which(program, path=_PATH)))
            path.write_text(f'#!/bin/sh\nexport SLURM_CONF={configuration}\nexec {real} "$@"\n', encoding="utf-8")
            path.chmod(0o755)
        self.environment = {**os.environ, "PATH": os.pathsep.join((str(self.folder / "bin"), _PATH))}
        start = _START.format(**facts)
        if disk is not None:
            folders = [shlex.quote(str(path)) for path in disk.iterdir()]
            start = (
                f"mount -t tmpfs -o size={disk_mb}m none {shlex.quote(str(disk))}\nmkdir {' '.join(folders)}\n{start}"
            )
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *_NAMESPACE, "bash", "-c", start],
            env={**self.environment, "SLURM_CONF": str(configuration)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _write_accounting(self, facts: Mapping[str, Any]) -> None:
        """Write what slurmdbd is configured with, and the system tables of its database."""
        (self.folder / "database").mkdir(mode=0o700)
        configuration = self.folder / "slurmdbd.conf"
        configuration.touch(mode=0o600)  # slurmdbd refuses one that others may read
        configuration.write_text(_SLURMDBD.format(**facts), encoding="utf-8")
        tables = [path.read_text(encoding="utf-8") for path in _SOURCES]
        text = "\n".join(("CREATE DATABASE mysql;", "USE mysql;", *tables))
        (self.folder / "database.sql").write_text(text, encoding="utf-8")

    def __enter__(self) -> "SlurmNode":
        until = time.monotonic() + 60
        while self.ask("sinfo", "-h", "-o", "%T") != "idle":
            if time.monotonic() > until or self.process.poll() is not None:
                reported = [path.read_text(errors="replace")[-2000:] for path in sorted(self.folder.glob("*.[lo]*"))]
                self.stop()
                raise RuntimeError("\n".join(["Slurm does not come up.", *reported]))
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ask(self, *command: str) -> str:
        """Return what a client of Slurm says, stripped; empty where it fails."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=60)
        return done.stdout.strip()

    def stop(self) -> None:
        """End everything and remove the folder."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _free_ports(number: int) -> list[int]:
    """Return ports of loopback on which nobody listens."""
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
