"""The paper's section 6 in small, detection: does a backbone trained with the refinements make a better Faster-RCNN?

    python -m benchmarks.pretrain WEIGHTS --widen .25 --size 32 --n_epoch 4      backbones, see there
    python -m benchmarks.transfer_detection BCCD WEIGHTS                         a detector on each, 3 seeds
    python -m benchmarks.transfer_detection --table                              what the rows say

BCCD is a folder with Annotations, ImageSets and JPEGImages, WEIGHTS/ARM-SEED.pt the state dict of a whole network.
The detectors of both arms are trained alike, with the norms of the backbone frozen as in the paper:
Adam, warmup and cosine, no decay of biases, flips, plain labels.
The held-out list is looked at once, after the last epoch, and chose nothing.
Each finished run is a row of benchmarks/results/transfer/detection.csv.
Rows that are there with the same settings are not run again."""
import argparse, statistics, time, warnings
from pathlib import Path
from benchmarks.transfer import add_arguments, append_row, backbone, is_done, is_missing, machine, on_machine
from benchmarks.transfer import pretraining, read_rows, results, without_validation

out  = results/'detection.csv'
arms = ('plain','refined')
keys = 'arm seed arch widen data held size bs n_epoch lr'.split()
measured = 'map50 map valid_loss pretrained_on pretrained_accuracy seconds cpu_seconds'.split()
head = [*keys, 'train', 'pictures', *measured, *machine]
anchors = (8,16,32,64,128) # platelets are 10 pixels wide at the size of the default
choices = dict(
    arch=('resnet18d', 'a builder of the package'),
    widen=(.25, 'width of the backbones'),
    held=('test', 'list that is measured on'),
    size=(160, 'longer side in pixels'),
    bs=(4, 'batch size'),
    n_epoch=(3, 'epochs'),
    lr=(1e-3, 'peak rate'))

def trained(bccd, weights, seed, arch, widen, held, size, bs, n_epoch, lr):
    "A Learner whose detector was trained on the backbone in the file `weights`"
    from fastai.callback.progress import ProgressCallback
    from fastai.vision.all import Flip
    from fastai_tricks import all as ft
    net = backbone(arch, widen, weights)
    ft.seed_everything(seed)
    dls = ft.voc_dls(bccd, size=size, bs=bs, valid=held, bad='skip', batch_tfms=Flip(), seed=seed)
    ft.seed_everything(seed)
    learn = ft.detection_learner(dls, net, anchors=anchors, cbs=ft.NoBiasDecay()).remove_cbs(ProgressCallback)
    ft.seed_everything(seed, dls)
    with learn.no_logging(): learn.fit_warmup_cos(n_epoch, lr, warmup_epochs=.5, cbs=without_validation())
    return learn

def run(bccd, weights, arm, seed, **settings):
    "Train one detector; its row"
    start,cpu_start = time.time(),time.process_time()
    learn = trained(bccd, Path(weights)/f'{arm}-{seed}.pt', seed, **settings)
    scores = dict(zip(['valid_loss',*(o.name for o in learn.metrics)], learn.validate()))
    before = pretraining(weights, arm, seed)
    return dict(
        arm=arm, seed=seed, data=Path(bccd).name, **settings,
        train=len(learn.dls.train_ds),
        pictures=len(learn.dls.valid_ds),
        map50=f"{scores['mAP@.5']:.5f}",
        map=f"{scores['mAP']:.5f}",
        valid_loss=f"{scores['valid_loss']:.5f}",
        pretrained_on=f"{before['data']}, {before['n_epoch']} epochs, {before['size']} px" if before else '',
        pretrained_accuracy=before.get('accuracy', ''),
        seconds=f'{time.time()-start:.0f}',
        cpu_seconds=f'{time.process_time()-cpu_start:.0f}',
        **on_machine(learn.dls))

def difference_text(d):
    "Mean of paired differences with its 95 % interval, and what it says"
    from scipy import stats
    mean,half = statistics.mean(d),stats.t.ppf(.975, len(d)-1)*statistics.stdev(d)/len(d)**.5
    meaning = 'zero is inside: no evidence' if abs(mean)<=half else 'zero is outside'
    return f'{mean:+.1f} [{mean-half:+.1f}, {mean+half:+.1f}], {meaning}'

def setting_lines(rows, metric):
    "Mean and sd of each arm, and the paired difference, in percent"
    by = {a:{o['seed']:100*float(o[metric]) for o in rows if o['arm']==a} for a in arms}
    for a,scores in by.items():
        v = list(scores.values())
        if len(v)>1: yield f'  {metric:6}{a:8} {statistics.mean(v):5.1f} ± {statistics.stdev(v):.1f} (n={len(v)})'
    plain,refined = (by[a] for a in arms)
    d = [refined[s]-plain[s] for s in sorted(set(plain) & set(refined))]
    if len(d)>1: yield f'  {metric:6}refined - plain: {difference_text(d)}'

def table(path=out):
    "What the rows say, as text, for each setting"
    rows,lines = read_rows(path),[]
    def setting(row): return tuple(row[k] for k in keys[2:])
    for s in sorted({setting(o) for o in rows}):
        lines.append(', '.join(f'{k} {v}' for k,v in zip(keys[2:], s)))
        same = [o for o in rows if setting(o)==s]
        for metric in ('map50','map'): lines += setting_lines(same, metric)
    return '\n'.join(lines) or f'no rows in {path}'

def parser():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('bccd', nargs='?', help='folder of the data')
    p.add_argument('weights', nargs='?', help='folder of the backbones')
    p.add_argument('--table', action='store_true', help='print what the rows say, train nothing')
    p.add_argument('--arms', nargs='+', default=arms, choices=arms)
    p.add_argument('--seeds', type=int, nargs='+', default=[0,1,2], help='which (default 0 1 2)')
    p.add_argument('--out', type=Path, default=out, help='CSV of the rows')
    add_arguments(p, choices)
    return p

def main():
    warnings.simplefilter('ignore')
    p = parser()
    a = p.parse_args()
    if a.table: return print(table(a.out))
    if not (a.bccd and a.weights): p.error('the folders of the data and of the backbones are needed')
    settings = {k:getattr(a, k) for k in choices}
    for seed in a.seeds:
        for arm in a.arms:
            if is_done(a.out, dict(arm=arm, seed=seed, data=Path(a.bccd).name, **settings)): continue
            if is_missing(a.weights, arm, seed): continue
            row = run(a.bccd, a.weights, arm, seed, **settings)
            append_row(a.out, row, head)
            print(f"{arm} {seed}: mAP@.5 {row['map50']}, mAP {row['map']}, {row['seconds']} s", flush=True)

if __name__=='__main__': main()
