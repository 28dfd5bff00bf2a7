"The budgets of pages and tests"
import subprocess, sys
from pathlib import Path
import pytest

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root/'tools'))
import suite

def page_of(pattern): return next(p for p in suite.nbs.glob(pattern)).relative_to(suite.nbs).as_posix()

mixup = page_of('*_target.mixup.ipynb')

@pytest.mark.parametrize('pattern,kind', [
    ('*_target.mixup.ipynb', 'trick'),
    ('*_train.resume.ipynb', 'infrastructure'),
    ('*_evidence.ablation.ipynb', 'statistics'),
    ('tutorials/1_*.ipynb', 'tutorial'),
    ('explain/intervals.ipynb', 'statistics'),
    ('howto/scale.ipynb', 'infrastructure'),
])
def test_what_a_page_is(pattern, kind): assert suite.kind(page_of(pattern))==kind

def test_every_pattern_fits_a_page():
    pages = [o.relative_to(suite.nbs) for o in suite.pages()]
    assert [pattern for pattern,_ in suite.kinds if not any(p.match(pattern) for p in pages)]==[]

def test_what_is_above_its_budget_is_named_and_counted(capsys, monkeypatch):
    monkeypatch.setattr(suite, 'again', lambda row: row)
    above = dict(page=mixup, cpu=suite.budgets['trick']+.1)
    within = dict(page=page_of('*_target.cutmix.ipynb'), cpu=1.)
    assert suite.report([above, within, dict(pytest=suite.budgets['pytest']+1)])==2
    lines = [o for o in capsys.readouterr().out.splitlines() if 'ABOVE' in o]
    assert [o.split()[-2] for o in lines]==[mixup, '(wall'], lines
    assert suite.report([within])==0

@pytest.mark.parametrize('alone,counts', [(3.,3.), (99.,9.)])
def test_a_page_above_its_budget_is_run_once_more_by_itself(monkeypatch, alone, counts):
    def run(names, SUITE_TIMES): Path(SUITE_TIMES).write_text(f'{{"page":"{names[0]}", "cpu":{alone}}}\n')
    monkeypatch.setattr(suite, 'alone', run)
    assert suite.again(dict(page=mixup, cpu=9.))['cpu']==counts

busy = '''
import sys, time
while time.process_time()<1: pass
print('spent', flush=True)
if len(sys.argv)>1: time.sleep(60)
'''

def test_cpu_time_counts_children_that_run():
    before = suite.cpu()
    p = subprocess.Popen([sys.executable, '-c', busy, 'stay'], stdout=subprocess.PIPE, text=True)
    try:
        p.stdout.readline()
        assert suite.cpu()-before>=.9 # the system counts in ticks
    finally:
        p.kill()
        p.wait()

def test_cpu_time_counts_children_that_ended():
    before = suite.cpu()
    subprocess.run([sys.executable, '-c', busy], stdout=subprocess.DEVNULL, check=True)
    assert suite.cpu()-before>=.9
