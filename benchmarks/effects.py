"""The effects that cards and README show, from rows alone: `python -m benchmarks.effects`.

It reads the runs in benchmarks/results and writes fastai_tricks/assets/effects.csv and nbs/images/first.svg.
Nothing is trained. The rows were made by

    fastai-tricks ablate --out benchmarks/results/first    the first command
    python -m benchmarks.recipes                           small-data: the tricks of the recipe, one by one
    python -m benchmarks.effects train                     embedded: the ladder 'quick', and further tricks alone"""
import json, sys, warnings
from pathlib import Path

root = Path(__file__).resolve().parent.parent
results = root/'benchmarks'/'results'
alone = 'zero_gamma no_bias_decay cutmix'.split()
columns = 'set trick label accuracy diff against verdict cost what measured note headline'.split()

def from_rows(name, tricks, mode, **kwargs):
    "The ablation whose runs stand in benchmarks/results/`name`, whatever versions they were made with"
    import dataclasses
    from fastai_tricks.all import Ablation, arms, base_spec, read_rows, tiny_dls
    rows = read_rows(results/name/'runs.csv')
    plan = arms(tricks, mode, **kwargs)
    n_epoch = {a.label:int(rows[rows.arm==a.label].n_epoch.iloc[0]) for a in plan}
    n_plain = n_epoch[plan[0].label]
    plan = [dataclasses.replace(a, share=n_epoch[a.label]/n_plain) for a in plan]
    found = {(i,int(o['seed'])):o for i,a in enumerate(plan) for o in rows[rows.arm==a.label].to_dict('records')}
    dls = tiny_dls(n_train=1000 if name=='first' else 5000)
    base = base_spec(dls, n_plain)
    return Ablation(plan, [(a.label,a.spec(base)) for a in plan], sorted({s for _,s in found}), mode, dls, found)

def measured(abl):
    "What was trained, in a few words, and by what"
    v = json.loads(abl.runs.versions.iloc[0])
    device = ', '.join(sorted(abl.runs.device.unique()))
    what = f"{len(abl.dls.train_ds):,} images, {abl.epochs_text()}, {len(abl.seeds)} seeds"
    return what,f"Fashion-MNIST, small ResNet-18, {device}, torch {v['torch']}, fastai {v['fastai']}"

def reference(abl, arm):
    "What the difference of `arm` is taken against, in words"
    if abl.mode=='bag' and arm.ref==1: return 'the bag without it' if arm.sign<0 else 'the bag'
    return dict(cumulative='the step before', add_one='the baseline', bag='plain fastai')[abl.mode]

def difference(abl, arm, effect, what, by):
    "What the trick of `arm` adds, as text"
    from fastai_tricks.evidence.interval import points_text, verdict
    points = points_text(effect.mean, effect.lo, effect.hi, arm.sign).replace(' points', '')
    against,cost,found = reference(abl, arm),f'{abl.cost(arm):.2f}x',verdict(effect, arm.sign)
    measured = f'{found}: {points} points against {against}, at {cost} the time ({what}; {by})'
    return dict(diff=points, against=against, verdict=found, cost=cost, measured=measured)

def effect_rows(name, abl):
    "A row for each arm of `abl`, as text; a difference tells what the trick adds"
    what,by = measured(abl)
    table,effects = abl.table(),abl.effects()
    for i,arm in enumerate(abl.arms):
        o = table.iloc[i]
        row = dict(
            set=name,
            trick=arm.name,
            label=arm.label,
            accuracy=f'{o.accuracy:.1f} [{o.acc_lo:.1f}, {o.acc_hi:.1f}]',
            cost=f'{abl.cost(arm, 0):.2f}x',
            what=what,
            note=f'{what}; {by}. Intervals cover other seeds and other images, '
                 'all differences of one command together at 95 %.',
            headline=abl.headline(),
        )
        if i in effects: row.update(difference(abl, arm, effects[i][0], what, by))
        yield {**dict.fromkeys(columns, ''), **row}

def train():
    "Make the rows of the set 'embedded'"
    from fastai_tricks.all import ablate, tiny_dls
    for tricks,mode in (('quick','cumulative'), (alone,'add_one')):
        ablate(tiny_dls(bs=64), tricks, mode=mode, n_epoch=3, seeds=5, out=results/'embedded')

def main():
    warnings.simplefilter('ignore')
    import matplotlib, pandas as pd
    matplotlib.use('Agg')
    from fastai_tricks.all import fig_svg, ladders, recipe
    if sys.argv[1:]==['train']: train()
    first = from_rows('first', 'first', 'bag', further=ladders['further'])
    sets = [
        ('first', first),
        ('small-data', from_rows('small-data', recipe('small-data'), 'cumulative')),
        ('embedded', from_rows('embedded', 'quick', 'cumulative')),
        ('embedded', from_rows('embedded', alone, 'add_one')),
    ]
    rows = [o for name,abl in sets for o in effect_rows(name, abl)]
    pd.DataFrame(rows, columns=columns).to_csv(root/'fastai_tricks'/'assets'/'effects.csv', index=False)
    (root/'nbs'/'images'/'first.svg').write_text(fig_svg(first.plot().figure))
    for _,abl in sets: print(abl, *abl.answers(), abl.headline(), sep='\n')

if __name__=='__main__': main()
