"""What all tests need before torch is imported:
one thread for each process, as the tests run side by side, and children that hear Ctrl-C"""
import os, signal, sys, time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('MPLBACKEND', 'Agg')

def hear_interrupts():
    """Give SIGINT back to the programs that are started from here.
    A shell that starts the tests in the background has it ignored, and what is ignored stays so in every child.
    A handler of ours does not outlive `exec`."""
    if signal.getsignal(signal.SIGINT)!=signal.SIG_IGN: return
    signal.signal(signal.SIGINT, lambda *args: None) # we ourselves go on ignoring it

hear_interrupts()

begun = time.time()

def pytest_sessionfinish(session):
    "Note how long all tests took, see tools/suite.py"
    if not os.environ.get('SUITE_TIMES') or hasattr(session.config, 'workerinput'): return
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent/'tools'))
    import suite
    suite.note(pytest=round(time.time()-begun, 1))
