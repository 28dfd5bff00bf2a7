"""The effects that cards and the index show: `python -m benchmarks.effects` runs the default ablation (or reuses its rows in
benchmarks/results/embedded/runs.csv), and writes fastai_tricks/assets/effects.csv and nbs/images/ablation.svg from them."""
import platform, sys, warnings
from pathlib import Path

root = Path(__file__).resolve().parent.parent

def main():
    warnings.simplefilter('ignore')
    import matplotlib
    matplotlib.use('Agg')
    import pandas as pd
    from fastai_tricks.all import ablate, fig_svg, tiny_dls
    from fastai_tricks.ablation import _cells, versions
    from fastai_tricks.cli import ladder
    out = root/'benchmarks'/'results'/'embedded'
    abl = ablate(tiny_dls(bs=64), ladder, n_epoch=3, seeds=int(sys.argv[1]) if len(sys.argv)>1 else 5, out=out)
    head,rows = _cells(abl.table())
    t = pd.DataFrame(rows, columns=head)
    n,epochs = len(abl.seeds),abl.specs[0][1].n_epoch
    on = f"{', '.join(sorted(abl.runs.device.unique()))}, torch {versions['torch']}, fastai {versions['fastai']}"
    what = f"5,000 Fashion-MNIST pictures, small ResNet-18, {epochs} epochs, {n} seeds; {on}"
    res = pd.DataFrame(dict(trick=[a.name for a in abl.arms], accuracy=t['accuracy, %'], verdict=t.verdict.where(t.verdict!='', '—'), cost=t.cost))
    res.insert(2, 'diff', t['difference, points'].where(t['difference, points']!='', '—'))
    res['measured'] = [f"{v}: {d} points on top of {abl.arms[a.ref].label if a.ref else 'the baseline'}, {c} the baseline's time ({what})" if a.ref is not None else '' for a,v,d,c in zip(abl.arms, res.verdict, res['diff'], res.cost)]
    res['note'] = f'{what}. Intervals cover other seeds and other pictures, all {len(abl.arms)-1} differences together at 95 %. Time per epoch is relative to the baseline. Rows: `benchmarks/results/embedded/runs.csv`.'
    res.to_csv(root/'fastai_tricks'/'assets'/'effects.csv', index=False)
    (root/'nbs'/'images').mkdir(exist_ok=True)
    (root/'nbs'/'images'/'ablation.svg').write_text(fig_svg(abl.plot().figure))
    print(abl)

if __name__=='__main__': main()
