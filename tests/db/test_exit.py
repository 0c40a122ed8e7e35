"""How a program ends that leaves a store open."""

import subprocess
import sys

PROGRAM = """
import sys, threading
from dataclasses import dataclass
from docsession import DocumentStore

@dataclass
class Company:
    name: str
    id: str | None = None

store = DocumentStore(sys.argv[1], sys.argv[2])
busy = threading.Semaphore(0)

def work():
    while True:
        with store.open_session() as session:
            session.store(Company("x"))
            session.save_changes()
        busy.release()

for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
for _ in range(20):
    busy.acquire()
"""


def test_daemon_threads_that_still_save_end_without_a_word(postgres_url, database):
    command = [sys.executable, "-X", "dev", "-c", PROGRAM, postgres_url, database]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
