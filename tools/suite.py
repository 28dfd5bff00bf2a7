"""How long the tests may take, and whether pages may be run in any order.

    python tools/suite.py report FILE     CPU time of each page, wall time of pytest, against their budgets
    python tools/suite.py order [SEED]    all pages in one process, in an order that SEED draws
    python tools/suite.py pages NAME ...  run these pages in a process each, and print their CPU time

FILE is what `SUITE_TIMES=FILE` had written. Without SEED a new one is drawn and printed; if it is even, everything is
imported first."""
import argparse, contextlib, importlib, json, os, random, subprocess, sys, tempfile, time
from pathlib import Path, PurePath

root = Path(__file__).resolve().parent.parent
nbs = root/'nbs'

# What a page may take, in seconds of CPU time of its process and of all that it started.
# Its imports of fastai are not counted. pytest: seconds of wall time.
budgets = dict(
    trick=8,
    infrastructure=15,
    tutorial=45,
    statistics=40,
    pytest=8*60,
)

# The first pattern that fits a page says what it is.
# What needs more than its budget is flagged `#| slow` (`@pytest.mark.slow` in a test), and runs weekly.
kinds = [
    ('tutorials/*',     'tutorial'),
    ('index.ipynb',     'tutorial'),
    ('explain/*',       'statistics'),
    ('*_evidence.*',    'statistics'),
    ('*_train.checkpoint.ipynb',  'infrastructure'),
    ('*_train.resume.ipynb',      'infrastructure'),
    ('*_train.processes.ipynb',   'infrastructure'),
    ('*_train.*',       'trick'),
    ('*_model.*',       'trick'),
    ('*_target.*',      'trick'),
    ('*_data.*',        'trick'),
    ('*',               'infrastructure'),
]

def kind(page):
    "What `page`, a path in nbs/, is: a key of `budgets`"
    return next(k for pattern,k in kinds if PurePath(page).match(pattern))

def cpu():
    "Seconds of CPU time of this process and of all that it has started, those included that still run"
    import psutil
    me = psutil.Process()
    total = sum(me.cpu_times()[:4]) # its own, and that of children that have ended
    for o in me.children(recursive=True):
        with contextlib.suppress(psutil.Error): total += sum(o.cpu_times()[:4])
    return total

def note(**row):
    "Add `row` to the file that `SUITE_TIMES` names"
    with open(os.environ['SUITE_TIMES'], 'a') as f: f.write(json.dumps(row)+'\n')

def time_pages():
    "Have nbdev's runner note the CPU time of each page"
    import functools, nbdev.test
    plain = nbdev.test.test_nb
    @functools.wraps(plain)
    def test_nb(fn, *args, **kwargs):
        import fastai.vision.all # the first page of a process would pay for all
        before = cpu()
        res = plain(fn, *args, **kwargs)
        note(page=Path(fn).resolve().relative_to(nbs).as_posix(), cpu=round(cpu()-before, 2), passed=bool(res[0]))
        return res
    nbdev.test.test_nb = test_nb

def share(row):
    "CPU time of a page as a share of its budget"
    return row['cpu']/budgets[kind(row['page'])]

def line(seconds, what, words):
    "Seconds beside the budget of `what`"
    above = 'ABOVE' if seconds>budgets[what] else ''
    return f'{seconds:7.1f} s of {budgets[what]:3} {above:5}  {words}'

def report(rows):
    "Print `rows` beside their budgets, a page above its own once more by itself; how many are above"
    pages = [again(o) if share(o)>1 else o for o in rows if 'page' in o]
    for o in sorted(pages, key=share, reverse=True):
        what = kind(o['page'])
        print(line(o['cpu'], what, f"{o['page']} ({what})"))
    print(f"{sum(o['cpu'] for o in pages):7.1f} s of CPU time for all pages")
    tests = [o['pytest'] for o in rows if 'pytest' in o]
    for seconds in tests: print(line(seconds, 'pytest', 'pytest (wall time)'))
    return sum(share(o)>1 for o in pages) + sum(o>budgets['pytest'] for o in tests)

def again(row):
    "`row`, or what the page takes alone if that is less: others on the machine only add to CPU time"
    if not (nbs/row['page']).exists(): return row
    with tempfile.TemporaryDirectory() as d:
        file = Path(d)/'times'
        alone([row['page']], SUITE_TIMES=str(file))
        new = read(file) if file.exists() else []
    by_itself = ', '.join(str(o['cpu']) for o in new) or 'nothing'
    print(f"{row['page']} took {row['cpu']} s among others, {by_itself} alone", flush=True)
    return min([row, *new], key=lambda o: o['cpu'])

def pages():
    "All pages"
    from nbdev.doclinks import nbglob
    return [Path(o).resolve() for o in sorted(nbglob(str(nbs)))]

def in_order(seed):
    "Run all pages here in the order of `seed`, everything imported first if it is even; the names of those that fail"
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    sys.path.insert(0, str(root))
    if seed%2==0:
        for o in sorted((root/'fastai_tricks').rglob('[!_]*.py')):
            importlib.import_module('.'.join(o.relative_to(root).with_suffix('').parts))
    from nbdev.test import test_nb
    files,bad = pages(),[]
    random.Random(seed).shuffle(files)
    print(f'order {seed}: {len(files)} pages', flush=True)
    os.chdir(nbs)
    for f in files:
        before = cpu()
        passed = test_nb(f, skip_flags=['slow'], basepath=root)[0]
        print(f"{'ok  ' if passed else 'FAIL'} {f.relative_to(nbs)}, {cpu()-before:.1f} s", flush=True)
        if not passed: bad.append(f.name)
    print(f'order {seed}: {len(files)-len(bad)} passed, {len(bad)} failed {" ".join(bad)}')
    return bad

page_code = '''
import sys
sys.path.insert(0, sys.argv[1])
import suite
suite.time_pages()
import nbdev.test
sys.exit(not nbdev.test.test_nb(sys.argv[2], skip_flags=["slow"])[0])
'''

def alone(names, **more):
    "Run the pages whose path holds one of `names`, each in a process of its own; how many fail"
    command = [sys.executable, '-W', 'ignore', '-c', page_code, str(Path(__file__).parent)]
    env = {'OMP_NUM_THREADS':'1', **os.environ, **more}
    chosen = [o for o in pages() if any(n in str(o.relative_to(nbs)) for n in names)]
    codes = [subprocess.run([*command, str(o)], cwd=root, env=env).returncode for o in chosen]
    return len(codes)-codes.count(0)

def read(file): return [json.loads(o) for o in Path(file).read_text().splitlines()]

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=['report','order','pages'])
    p.add_argument('args', nargs='*')
    a = p.parse_args()
    if a.what=='order': return bool(in_order(int(a.args[0]) if a.args else random.randrange(10**6)))
    if a.what=='report': return bool(report(read(a.args[0])))
    with tempfile.TemporaryDirectory() as d:
        os.environ['SUITE_TIMES'] = f'{d}/times'
        failed = alone(a.args)
        return bool(report(read(f'{d}/times'))) or failed>0

if __name__=='__main__': sys.exit(main())
