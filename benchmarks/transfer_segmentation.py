"""The paper's section 6 in small, segmentation: does a backbone that was trained with the refinements make a better FCN?

    python -m benchmarks.pretrain WEIGHTS --widen .5 --size 32 --n_epoch 6      backbones, see there
    python -m benchmarks.transfer_segmentation CAMVID WEIGHTS                   an FCN on each, 3 seeds

CAMVID is a folder with images/{train,val,test}, masks/{train,val,test} and codes.txt; class `Unlabelled` does not count. WEIGHTS/ARM-SEED.pt is the state dict of a whole network. The FCNs of all arms are trained alike: `nag`,
warmup and cosine, no decay of biases, flips, plain labels; arm `scratch` starts from random weights. Pixel accuracy and mIoU are those of the held-out list after the last epoch, which chose nothing. Each finished run is a row of
benchmarks/results/transfer/segmentation.csv; rows that are there with the same settings are not run again."""
import argparse, csv, os, platform, time, warnings
from functools import partial
from pathlib import Path
os.environ.setdefault('OMP_NUM_THREADS', '1')

root  = Path(__file__).resolve().parent.parent
out   = root/'benchmarks'/'results'/'transfer'/'segmentation.csv'
arms  = ('plain','refined','scratch')
keys  = 'arm seed arch widen data train held pictures size output_stride bs n_epoch lr'.split()
head  = [*keys, *'pixel_accuracy miou pretrained_on pretrained_accuracy seconds date device threads python torch torchvision fastai'.split()]

def camvid_dls(path, size, bs, held, n=None):
    "`DataLoaders` of the lists `train` and `held`, pictures resized to `size` (height, width)"
    from fastai.vision.all import DataBlock, Flip, FuncSplitter, ImageBlock, MaskBlock, Resize, ResizeMethod, get_image_files
    path = Path(path)
    def items(_): return sorted(get_image_files(path/'images'/'train'))[:n] + sorted(get_image_files(path/'images'/held))[:n]
    block = DataBlock((ImageBlock, MaskBlock(codes=(path/'codes.txt').read_text().split())), get_items=items, splitter=FuncSplitter(lambda o: o.parent.name==held),
                      get_y=lambda o: path/'masks'/o.parent.name/f'{o.stem}.png', item_tfms=Resize(size, method=ResizeMethod.Squish), batch_tfms=Flip())
    return block.dataloaders(path, bs=bs, num_workers=0)

def backbone(arch, widen, weights):
    "`arch` with the weights in the file `weights`, every tensor of which must fit"
    import torch
    from fastai_tricks import all as ft
    sd = torch.load(weights, weights_only=True)
    net = getattr(ft, arch)(n_out=len(sd['fc.weight']), widen=widen)
    net.load_state_dict(sd, strict=True)
    return net

def run(camvid, weights, arm, seed, arch, widen, size, bs, n_epoch, lr, output_stride, held, n=None):
    "Train one FCN; its row"
    import fastai, torch, torchvision
    from fastai.callback.core import Callback, CancelValidException
    from fastai.vision.all import Normalize
    from fastai_tricks import all as ft
    from fastai_tricks.transfer.segmentation import fcn_learner
    class NoValid(Callback):
        "Nothing is chosen by the held-out list, so it is looked at once"
        def before_validate(self): raise CancelValidException()
    t,info = time.time(),{}
    if arm!='scratch' and (Path(weights)/'pretrain.csv').exists():
        info = next((o for o in csv.DictReader(open(Path(weights)/'pretrain.csv')) if o['arm']==arm and int(o['seed'])==seed), {})
    ft.seed_everything(seed)
    dls = camvid_dls(camvid, size, bs, held, n)
    dls.add_tfms([Normalize.from_stats([.42,.43,.44], [.29,.30,.30])], 'after_batch') # of these pictures
    ft.seed_everything(seed, dls)
    net = partial(getattr(ft, arch), widen=widen) if arm=='scratch' else backbone(arch, widen, Path(weights)/f'{arm}-{seed}.pt')
    learn = fcn_learner(dls, net, ignore='Unlabelled', output_stride=output_stride, opt_func=ft.nag, cbs=ft.NoBiasDecay())
    ft.seed_everything(seed, dls)
    with learn.no_bar(), learn.no_logging():
        learn.fit_warmup_cos(n_epoch, lr, warmup_epochs=1, cbs=NoValid())
        loss,acc,miou = learn.validate()
    return dict(arm=arm, seed=seed, arch=arch, widen=widen, data=Path(camvid).name, train=len(dls.train_ds), held=held, pictures=len(dls.valid_ds), size='x'.join(map(str, size)), output_stride=output_stride, bs=bs, n_epoch=n_epoch, lr=lr,
                pixel_accuracy=f'{acc:.5f}', miou=f'{miou:.5f}', pretrained_on=f"{info['data']}, {info['n_epoch']} epochs" if info else '', pretrained_accuracy=info.get('accuracy',''), seconds=f'{time.time()-t:.0f}',
                date=time.strftime('%Y-%m-%d'), device=str(dls.device), threads=torch.get_num_threads(), python=platform.python_version(), torch=torch.__version__, torchvision=torchvision.__version__, fastai=fastai.__version__)

def main():
    warnings.simplefilter('ignore')
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('camvid', help='folder of the data')
    p.add_argument('weights', help='folder of the backbones')
    p.add_argument('--arms', nargs='+', default=arms, choices=arms)
    p.add_argument('--seeds', type=int, nargs='+', default=[0,1,2], help='which (default 0 1 2)')
    p.add_argument('--size', type=int, nargs=2, default=(72,96), help='height and width in pixels (default 72 96)')
    p.add_argument('--held', default='test', help='list that is measured on (default test)')
    p.add_argument('--n', type=int, help='use the first N pictures of each list only')
    p.add_argument('--out', type=Path, default=out, help='CSV of the rows')
    for nm,v,what in (('arch','resnet18d','a builder of the package'),('widen',.5,'multiplies the channels, as in the pretraining'),('bs',8,'batch size'),('n_epoch',8,'epochs'),('lr',.1,'peak rate'),('output_stride',8,'pixels for one of the last features')):
        p.add_argument(f'--{nm}', type=type(v), default=v, help=f'{what} (default {v})')
    a = p.parse_args()
    a.out.parent.mkdir(parents=True, exist_ok=True)
    for seed in a.seeds:
        for arm in a.arms:
            had = [tuple(o[k] for k in keys if k not in ('train','pictures')) for o in csv.DictReader(open(a.out))] if a.out.exists() else []
            me = dict(arm=arm, seed=seed, arch=a.arch, widen=a.widen, data=Path(a.camvid).name, held=a.held, size='x'.join(map(str, a.size)), output_stride=a.output_stride, bs=a.bs, n_epoch=a.n_epoch, lr=a.lr)
            if not a.n and tuple(str(me[k]) for k in keys if k not in ('train','pictures')) in had: continue
            if arm!='scratch' and not (Path(a.weights)/f'{arm}-{seed}.pt').exists():
                print(f'{arm}-{seed}.pt is not there: run `python -m benchmarks.pretrain {a.weights}` and this again', flush=True)
                continue
            row = run(a.camvid, a.weights, arm, seed, a.arch, a.widen, tuple(a.size), a.bs, a.n_epoch, a.lr, a.output_stride, a.held, a.n)
            new = not a.out.exists()
            with open(a.out, 'a', newline='') as f:
                w = csv.DictWriter(f, head)
                if new: w.writeheader()
                w.writerow(row)
            print(f"{arm} {seed}: pixel accuracy {row['pixel_accuracy']}, mIoU {row['miou']}, {row['seconds']} s", flush=True)

if __name__=='__main__': main()
