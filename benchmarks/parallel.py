"""Do several processes with one thread each beat one run after the other with all threads?

`python -m benchmarks.parallel [ROUNDS]` trains the same eight runs both ways, in turn, start of the processes included.
Rows go to benchmarks/results/parallel.csv."""
import csv, os, sys, time, warnings
from pathlib import Path

root = Path(__file__).resolve().parent.parent

def main():
    warnings.simplefilter('ignore')
    os.environ['PYTHONWARNINGS'] = 'ignore'
    os.environ.pop('OMP_NUM_THREADS', None)
    import numpy as np, torch
    from fastai_tricks.all import ablate, tiny_dls
    from fastai_tricks.base.here import versions
    n = os.cpu_count()
    dls,rows = tiny_dls(bs=64),[]
    def once(jobs, seeds=4):
        torch.set_num_threads(n if jobs==1 else 1)
        t = time.perf_counter()
        res = ablate(dls, ['label_smoothing'], n_epoch=1, seeds=seeds, jobs=jobs, progress=False)
        assert res.runs.status.eq('ok').all()
        return time.perf_counter()-t
    once(1, 1)
    for i in range(int(sys.argv[1]) if len(sys.argv)>1 else 3):
        one,several = once(1),once(n)
        rows.append(dict(
            round=i,
            one_after_the_other=round(one, 2),
            processes=round(several, 2),
            ratio=round(several/one, 3),
            cores=n,
            load=round(os.getloadavg()[0], 1),
            **versions,
        ))
        print(rows[-1], flush=True)
    f = root/'benchmarks'/'results'/'parallel.csv'
    with f.open('w', newline='') as o:
        w = csv.DictWriter(o, rows[0])
        w.writeheader()
        w.writerows(rows)
    r = np.array([o['ratio'] for o in rows])
    spread = f'lowest {r.min():.2f}, highest {r.max():.2f}, {len(r)} rounds'
    print(f'{n} processes take {np.median(r):.2f} of the time of one ({spread})')

if __name__=='__main__': main()
