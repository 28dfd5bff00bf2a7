"The suite does the same in the background of a shell, which has SIGINT ignored there"
import os, shutil, signal, subprocess, sys
from pathlib import Path

program = [sys.executable, '-c', "import time; print('ready', flush=True); time.sleep(60)"]

def interrupted(**kw):
    "How a program ends that gets SIGINT when it is ready"
    p = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **kw)
    p.stdout.readline()
    p.send_signal(signal.SIGINT)
    try: return p.wait(timeout=5)
    except subprocess.TimeoutExpired: return 'still running'
    finally:
        p.kill()
        p.wait()

def test_a_child_hears_sigint(): assert interrupted()==-signal.SIGINT

def test_so_it_does_in_the_background(tmp_path):
    here = Path(__file__)
    for name in ('conftest.py', here.name): shutil.copy(here.parent/name, tmp_path)
    inner = f'{sys.executable} -m pytest -q -p no:cacheprovider -k child_hears {tmp_path}'
    env = {k:v for k,v in os.environ.items() if k!='SUITE_TIMES'}
    in_background = ['bash', '-c', f'{inner} & wait $!']
    r = subprocess.run(in_background, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100)
    assert r.returncode==0 and '1 passed' in r.stdout, r.stdout+r.stderr

def test_the_background_is_what_has_it_ignored(tmp_path):
    "Without what `conftest` does the child would go on"
    ignored = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert interrupted(preexec_fn=ignored)=='still running'
