"""The effects that cards and the index show: `python -m benchmarks.effects [SEEDS]` runs the default ablation and one of further tricks, each
alone (or reuses their rows in benchmarks/results/embedded/runs.csv), and writes fastai_tricks/assets/effects.csv and nbs/images/ablation.svg."""
import sys, warnings
from pathlib import Path

root = Path(__file__).resolve().parent.parent
alone = 'zero_gamma no_bias_decay cutmix'.split()

def _rows(abl):
    "A row for each arm of `abl`, as text"
    import pandas as pd
    from fastai_tricks.ablation import _cells, versions
    head,rows = _cells(abl.table())
    t = pd.DataFrame(rows, columns=head)
    ref = {'cumulative':'the step before', 'add_one':'the baseline'}[abl.mode]
    what = f"{len(abl.dls.train_ds):,} Fashion-MNIST pictures, small ResNet-18, {abl.specs[0][1].n_epoch} epochs, {len(abl.seeds)} seeds, {', '.join(sorted(abl.runs.device.unique()))}, torch {versions['torch']}, fastai {versions['fastai']}"
    res = pd.DataFrame(dict(trick=[a.name for a in abl.arms], accuracy=t['accuracy, %'], diff=t['difference, points'], against=ref, verdict=t.verdict, cost=t.cost))
    res['measured'] = [f"{v}: {d} points against {ref}, {c} the baseline's time ({what})" for v,d,c in zip(res.verdict, res['diff'], res.cost)]
    res['note'] = f'{what}. Intervals cover other seeds and other pictures, all differences of a table together at 95 %. Time per epoch is relative to the baseline.'
    return res

def main():
    warnings.simplefilter('ignore')
    import matplotlib, pandas as pd
    matplotlib.use('Agg')
    from fastai_tricks.all import ablate, fig_svg, tiny_dls
    kw = dict(n_epoch=3, seeds=int(sys.argv[1]) if len(sys.argv)>1 else 5, out=root/'benchmarks'/'results'/'embedded')
    dls = tiny_dls(bs=64)
    ladder_abl,alone_abl = ablate(dls, 'quick', **kw),ablate(dls, alone, mode='add_one', **kw)
    pd.concat([_rows(ladder_abl), _rows(alone_abl)[1:]]).to_csv(root/'fastai_tricks'/'assets'/'effects.csv', index=False)
    (root/'nbs'/'images').mkdir(exist_ok=True)
    (root/'nbs'/'images'/'ablation.svg').write_text(fig_svg(ladder_abl.plot().figure))
    print(ladder_abl, alone_abl, sep='\n')

if __name__=='__main__': main()
