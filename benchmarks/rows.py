"Rows of CSV files, and ratios of arms that are run in turns: what several benchmarks share"
import csv, platform, random, statistics, time
from datetime import datetime, timezone
from pathlib import Path

def read_rows(path):
    "Rows of a CSV file as dicts of text; none if there is no file"
    if not Path(path).exists(): return []
    with open(path, newline='') as f: return list(csv.DictReader(f))

def append_row(path, row, head, end='\r\n'):
    "Add `row` to the CSV file `path`, which gets its heading if it is new; lines end in `end`"
    path = Path(path)
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'a', newline='') as f:
        w = csv.DictWriter(f, head, lineterminator=end)
        if new: w.writeheader()
        w.writerow(row)

def cpu_time(f):
    "Seconds of CPU time of this process that `f()` takes: what else the machine does is not counted"
    start = time.process_time()
    f()
    return time.process_time()-start

def rounds_of(arms, n, timer=cpu_time, warm=1):
    "`n` rounds of all `arms`, in a new order each: a list of name to seconds"
    rng,res = random.Random(0),[]
    for _ in range(warm):
        for f in arms.values(): f()
    for _ in range(n):
        names = list(arms)
        rng.shuffle(names)
        seconds = {o:timer(arms[o]) for o in names}
        res.append({o:seconds[o] for o in arms})
    return res

def ratio(rounds, a, b):
    "Median and quartiles of `a`/`b`, taken within rounds: (first quartile, median, third quartile)"
    ratios = [o[a]/o[b] for o in rounds]
    return statistics.quantiles(ratios, n=4, method='inclusive') if len(ratios)>1 else ratios*3

def is_met(median, op, bar): return median<=bar if op=='<=' else median>=bar

def in_words(what, quartiles, op, bar):
    "A ratio beside its bar, which is '' where a figure is only reported"
    q1,median,q3 = quartiles
    verdict = 'no bar'
    if op: verdict = f"bar {op}{bar}: {'met' if is_met(median, op, bar) else 'MISSED'}"
    return f'{what}: {median:.3f} ({q1:.3f} to {q3:.3f}), {verdict}'

def here():
    "Where and when a ratio was measured"
    import fastai, fastai_tricks, torch
    return dict(
        date=datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M'),
        threads=torch.get_num_threads(),
        device='cpu',
        torch=torch.__version__,
        fastai=fastai.__version__,
        fastai_tricks=fastai_tricks.__version__,
        python=platform.python_version(),
        machine=platform.machine(),
    )

def quiet(learn):
    "The Learner without bar and log"
    from fastai.callback.progress import ProgressCallback
    learn.remove_cb(ProgressCallback)
    learn.logger = lambda *args: None
    return learn
