"The budgets of pages and tests"
import sys
from pathlib import Path
import pytest

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root/'tools'))
import suite

@pytest.mark.parametrize('page,kind', [('31_mixup.ipynb','trick'), ('13_resume.ipynb','infrastructure'), ('41_ablation.ipynb','statistics'),
    ('tutorials/1_first_bag.ipynb','tutorial'), ('explain/intervals.ipynb','statistics'), ('howto/scale.ipynb','infrastructure')])
def test_what_a_page_is(page, kind):
    assert (suite.nbs/page).exists()
    assert suite.kind(page)==kind

def test_what_is_above_its_budget_is_named_and_counted(capsys, monkeypatch):
    monkeypatch.setattr(suite, 'again', lambda row: row)
    rows = [dict(page='31_mixup.ipynb', cpu=suite.budgets['trick']+.1), dict(page='30_targets.ipynb', cpu=1.), dict(pytest=suite.budgets['pytest']+1)]
    assert suite.report(rows)==2
    above = [o for o in capsys.readouterr().out.splitlines() if 'ABOVE' in o]
    assert [o.split()[-2] for o in above]==['31_mixup.ipynb','(wall'], above
    assert suite.report(rows[1:2])==0

@pytest.mark.parametrize('alone,counts', [(3.,3.), (99.,9.)])
def test_a_page_above_its_budget_is_run_once_more_by_itself(monkeypatch, alone, counts):
    def run(names, SUITE_TIMES): Path(SUITE_TIMES).write_text(f'{{"page":"{names[0]}", "cpu":{alone}}}\n')
    monkeypatch.setattr(suite, 'alone', run)
    assert suite.again(dict(page='31_mixup.ipynb', cpu=9.))['cpu']==counts

def test_cpu_time_counts_children_that_run_and_that_ended():
    import subprocess, time
    busy = "import sys, time\nwhile time.process_time()<1: pass\nprint('spent', flush=True)\nif len(sys.argv)>1: time.sleep(60)"
    before = suite.cpu()
    p = subprocess.Popen([sys.executable, '-c', busy, 'stay'], stdout=subprocess.PIPE, text=True)
    try:
        p.stdout.readline()
        assert suite.cpu()-before>=.9 # the system counts in ticks
    finally:
        p.kill()
        p.wait()
    subprocess.run([sys.executable, '-c', busy], stdout=subprocess.DEVNULL, check=True)
    assert suite.cpu()-before>=1.9
