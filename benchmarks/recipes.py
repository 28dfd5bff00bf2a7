"""What each trick of the recipe 'small-data' adds on the embedded images: `python -m benchmarks.recipes [SEEDS]`.
Rows go to benchmarks/results/small-data/runs.csv and are reused."""
import sys, warnings
from pathlib import Path

root = Path(__file__).resolve().parent.parent

def main():
    warnings.simplefilter('ignore')
    import matplotlib
    matplotlib.use('Agg')
    from fastai_tricks.all import ablate, recipe, tiny_dls
    r = recipe('small-data')
    seeds = int(sys.argv[1]) if len(sys.argv)>1 else 3
    out = root/'benchmarks'/'results'/'small-data'
    abl = ablate(tiny_dls(bs=r.bs), r, n_epoch=r.n_epoch, seeds=seeds, out=out)
    print(abl, *abl.answers(), sep='\n')

if __name__=='__main__': main()
