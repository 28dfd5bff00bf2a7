"""The paper's section 6 in small, detection: does a backbone that was trained with the refinements make a better Faster-RCNN?

    python -m benchmarks.pretrain WEIGHTS --widen .25 --size 32 --n_epoch 4      backbones, see there
    python -m benchmarks.transfer_detection BCCD WEIGHTS                         a detector on each, 3 seeds
    python -m benchmarks.transfer_detection --table                              what the rows say

BCCD is a folder with Annotations, ImageSets and JPEGImages, WEIGHTS/ARM-SEED.pt the state dict of a whole network. The detectors of
both arms are trained alike, with the norms of the backbone frozen as in the paper: Adam, warmup and cosine, no decay of biases, flips,
plain labels. The held-out list is looked at once, after the last epoch, and chose nothing. Each finished run is a row of
benchmarks/results/transfer/detection.csv; rows that are there with the same settings are not run again."""
import argparse, csv, os, platform, statistics, time, warnings
from pathlib import Path
os.environ.setdefault('OMP_NUM_THREADS', '1')

root = Path(__file__).resolve().parent.parent
out  = root/'benchmarks'/'results'/'transfer'/'detection.csv'
arms = ('plain','refined')
keys = 'arm seed arch widen data held size bs n_epoch lr'.split()
head = [*keys, *'train pictures map50 map valid_loss pretrained_on pretrained_accuracy seconds cpu_seconds date device threads python torch torchvision fastai'.split()]
anchors = (8,16,32,64,128) # platelets are 10 pixels wide at the size of the default

def run(bccd, weights, arm, seed, arch, widen, held, size, bs, n_epoch, lr):
    "Train one detector; its row"
    import fastai, torch, torchvision
    from fastai.callback.core import Callback, CancelValidException
    from fastai.callback.progress import ProgressCallback
    from fastai.vision.all import Flip
    from fastai_tricks import all as ft
    class NoValid(Callback):
        "The held-out pictures are looked at once, at the end"
        def before_validate(self): raise CancelValidException()
    t,cpu = time.time(),time.process_time()
    f = Path(weights)/'pretrain.csv'
    info = next((o for o in csv.DictReader(open(f)) if o['arm']==arm and int(o['seed'])==seed), {}) if f.exists() else {}
    sd = torch.load(Path(weights)/f'{arm}-{seed}.pt', weights_only=True)
    net = getattr(ft, arch)(n_out=len(sd['fc.weight']), widen=widen)
    net.load_state_dict(sd, strict=True)
    ft.seed_everything(seed)
    dls = ft.voc_dls(bccd, size=size, bs=bs, valid=held, bad='skip', batch_tfms=Flip(), seed=seed)
    ft.seed_everything(seed)
    learn = ft.detection_learner(dls, net, anchors=anchors, cbs=ft.NoBiasDecay()).remove_cbs(ProgressCallback)
    ft.seed_everything(seed, dls)
    with learn.no_logging(): learn.fit_warmup_cos(n_epoch, lr, warmup_epochs=.5, cbs=NoValid())
    res = dict(zip(['valid_loss',*(o.name for o in learn.metrics)], learn.validate()))
    return dict(arm=arm, seed=seed, arch=arch, widen=widen, data=Path(bccd).name, held=held, size=size, bs=bs, n_epoch=n_epoch, lr=lr,
                train=len(dls.train_ds), pictures=len(dls.valid_ds), map50=f"{res['mAP@.5']:.5f}", map=f"{res['mAP']:.5f}", valid_loss=f"{res['valid_loss']:.5f}",
                pretrained_on=f"{info['data']}, {info['n_epoch']} epochs, {info['size']} px" if info else '', pretrained_accuracy=info.get('accuracy', ''),
                seconds=f'{time.time()-t:.0f}', cpu_seconds=f'{time.process_time()-cpu:.0f}', date=time.strftime('%Y-%m-%d'), device=str(dls.device),
                threads=torch.get_num_threads(), python=platform.python_version(), torch=torch.__version__, torchvision=torchvision.__version__, fastai=fastai.__version__)

def _rows(f): return list(csv.DictReader(open(f))) if Path(f).exists() else []

def table(f=out):
    "Mean and sd of each arm, and the paired difference with its 95 % interval, as text"
    from scipy import stats
    rows,res = _rows(f),[]
    for setting in sorted({tuple(o[k] for k in keys[2:]) for o in rows}):
        mine = [o for o in rows if tuple(o[k] for k in keys[2:])==setting]
        res.append(', '.join(f'{k} {v}' for k,v in zip(keys[2:], setting)))
        for m in ('map50','map'):
            by = {a:{o['seed']:100*float(o[m]) for o in mine if o['arm']==a} for a in arms}
            for a in arms:
                if len(by[a])>1: res.append(f"  {m:6}{a:8} {statistics.mean(by[a].values()):5.1f} ± {statistics.stdev(by[a].values()):.1f} (n={len(by[a])})")
            d = [by['refined'][s]-by['plain'][s] for s in sorted(set(by['plain']) & set(by['refined']))]
            if len(d)>1:
                half = stats.t.ppf(.975, len(d)-1)*statistics.stdev(d)/len(d)**.5
                mid,said = statistics.mean(d),'zero is inside: no evidence' if abs(statistics.mean(d))<=half else 'zero is outside'
                res.append(f"  {m:6}refined - plain: {mid:+.1f} [{mid-half:+.1f}, {mid+half:+.1f}], {said}")
    return '\n'.join(res) or f'no rows in {f}'

def main():
    warnings.simplefilter('ignore')
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('bccd', nargs='?', help='folder of the data')
    p.add_argument('weights', nargs='?', help='folder of the backbones')
    p.add_argument('--table', action='store_true', help='print what the rows say, train nothing')
    p.add_argument('--arms', nargs='+', default=arms, choices=arms)
    p.add_argument('--seeds', type=int, nargs='+', default=[0,1,2], help='which (default 0 1 2)')
    p.add_argument('--out', type=Path, default=out, help='CSV of the rows')
    for nm,v,what in (('arch','resnet18d','a builder of the package'),('widen',.25,'width of the backbones'),
                      ('held','test','list that is measured on'),('size',160,'longer side in pixels'),('bs',4,'batch size'),('n_epoch',3,'epochs'),('lr',1e-3,'peak rate')):
        p.add_argument(f'--{nm}', type=type(v), default=v, help=f'{what} (default {v})')
    a = p.parse_args()
    if a.table: return print(table(a.out))
    if not (a.bccd and a.weights): p.error('the folders of the data and of the backbones are needed')
    a.out.parent.mkdir(parents=True, exist_ok=True)
    for seed in a.seeds:
        for arm in a.arms:
            kw = dict(arm=arm, seed=seed, arch=a.arch, widen=a.widen, held=a.held, size=a.size, bs=a.bs, n_epoch=a.n_epoch, lr=a.lr)
            if tuple(str({**kw, 'data':Path(a.bccd).name}[k]) for k in keys) in {tuple(o[k] for k in keys) for o in _rows(a.out)}: continue
            if not (Path(a.weights)/f'{arm}-{seed}.pt').exists():
                print(f'{arm}-{seed}.pt is not there: run `python -m benchmarks.pretrain {a.weights}` and this again', flush=True)
                continue
            row = run(a.bccd, a.weights, **kw)
            new = not a.out.exists()
            with open(a.out, 'a', newline='') as f:
                w = csv.DictWriter(f, head)
                if new: w.writeheader()
                w.writerow(row)
            print(f"{arm} {seed}: mAP@.5 {row['map50']}, mAP {row['map']}, {row['seconds']} s", flush=True)

if __name__=='__main__': main()
