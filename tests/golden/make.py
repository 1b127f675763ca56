"""Makes recordings to be kept, as root: python3 tests/golden/make.py HEAPTIDE FOLDER

Once for each format of recordings, by the heaptide that introduced it; see docs/contributing.md.
"""

import contextlib
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

PYTHON = "/usr/bin/python3.11"
# Where the programs run: what stands in a recording should not be of the machine that made it.
PLACE = pathlib.Path("/srv/shop")
SECONDS = 12
PROGRAMS = pathlib.Path(__file__).parent / "programs"


def record(heaptide, recording, program, *flags, kill_after=None):
    """Records a program while it works; or kills heaptide after so many intervals."""
    # The programs work until this pipe is closed.
    command = [PYTHON, *program]
    with subprocess.Popen(
        command, cwd=PLACE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as target:
        assert target.stdout.readline() == "ready\n"
        arguments = [heaptide, "attach", str(target.pid), "-o", recording, "-q"]
        arguments += ["-d", f"{SECONDS if not kill_after else 5 * SECONDS}s"]
        with subprocess.Popen([*arguments, *flags], stdout=subprocess.DEVNULL) as recorder:
            while kill_after and recorder.poll() is None and intervals(recording) < kill_after:
                time.sleep(0.1)
            if kill_after:
                recorder.send_signal(signal.SIGKILL)
        target.stdin.close()


def intervals(recording):
    """How many intervals are in the recording by now."""
    try:
        database = sqlite3.connect(f"file:{recording}?mode=ro", uri=True)
        with contextlib.closing(database):
            return database.execute("SELECT count(*) FROM interval").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def make_plain(recording):
    """Makes one file of a recording and what a killed heaptide left beside it."""
    database = sqlite3.connect(recording)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.execute("PRAGMA journal_mode = DELETE")
    database.close()


def main():
    heaptide, folder = sys.argv[1], pathlib.Path(sys.argv[2]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(PROGRAMS, PLACE)
    try:
        record(heaptide, folder / "leak.heaptide", ["shop.py", "leaky"])
        record(heaptide, folder / "before.heaptide", ["shop.py", "leaky"], "--exact")
        record(heaptide, folder / "after.heaptide", ["shop.py", "mended"], "--exact")
        record(heaptide, folder / "service.heaptide", ["service.py"], "--exact")
        killed = folder / "killed.heaptide"
        record(heaptide, killed, ["shop.py", "leaky"], "--exact", kill_after=6)
        make_plain(killed)
    finally:
        shutil.rmtree(PLACE)


if __name__ == "__main__":
    main()
