"""The paper's section 6 in small, segmentation: does a backbone trained with the refinements make a better FCN?

    python -m benchmarks.pretrain WEIGHTS --widen .5 --size 32 --n_epoch 6      backbones, see there
    python -m benchmarks.transfer_segmentation CAMVID WEIGHTS                   an FCN on each, 3 seeds

CAMVID is a folder with images/{train,val,test}, masks/{train,val,test} and codes.txt.
Class `Unlabelled` does not count.
WEIGHTS/ARM-SEED.pt is the state dict of a whole network.
The FCNs of all arms are trained alike: `nag`, warmup and cosine, no decay of biases, flips, plain labels;
arm `scratch` starts from random weights.
Pixel accuracy and mIoU are those of the held-out list after the last epoch, which chose nothing.
Each finished run is a row of benchmarks/results/transfer/segmentation.csv.
Rows that are there with the same settings are not run again."""
import argparse, time, warnings
from functools import partial
from pathlib import Path
from benchmarks.transfer import add_arguments, append_row, backbone, is_done, is_missing, machine, on_machine
from benchmarks.transfer import pretraining, results, without_validation

out  = results/'segmentation.csv'
arms = ('plain','refined','scratch')
keys = 'arm seed arch widen data train held pictures size output_stride bs n_epoch lr'.split()
head = [*keys, *'pixel_accuracy miou pretrained_on pretrained_accuracy seconds'.split(), *machine]
choices = dict(
    arch=('resnet18d', 'a builder of the package'),
    widen=(.5, 'multiplies the channels, as in the pretraining'),
    held=('test', 'list that is measured on'),
    output_stride=(8, 'pixels for one of the last features'),
    bs=(8, 'batch size'),
    n_epoch=(8, 'epochs'),
    lr=(.1, 'peak rate'))

def camvid_dls(path, size, bs, held, n=None):
    "`DataLoaders` of the lists `train` and `held`, images resized to `size` (height, width), at most `n` of each list"
    from fastai.vision.all import DataBlock, Flip, FuncSplitter, ImageBlock, MaskBlock, Normalize
    from fastai.vision.all import Resize, ResizeMethod, get_image_files
    path = Path(path)
    def items(_): return [f for o in ('train',held) for f in sorted(get_image_files(path/'images'/o))[:n]]
    def mask_of(f): return path/'masks'/f.parent.name/f'{f.stem}.png'
    block = DataBlock((ImageBlock, MaskBlock(codes=(path/'codes.txt').read_text().split())), get_items=items,
                      splitter=FuncSplitter(lambda f: f.parent.name==held), get_y=mask_of,
                      item_tfms=Resize(size, method=ResizeMethod.Squish), batch_tfms=Flip())
    dls = block.dataloaders(path, bs=bs, num_workers=0)
    dls.add_tfms([Normalize.from_stats([.42,.43,.44], [.29,.30,.30])], 'after_batch') # of these images
    return dls

def trained(camvid, weights, arm, seed, arch, widen, held, output_stride, bs, n_epoch, lr, size, n):
    "A Learner whose FCN was trained"
    from fastai_tricks import all as ft
    ft.seed_everything(seed)
    dls = camvid_dls(camvid, size, bs, held, n)
    ft.seed_everything(seed, dls)
    if arm=='scratch': net = partial(getattr(ft, arch), widen=widen)
    else: net = backbone(arch, widen, Path(weights)/f'{arm}-{seed}.pt')
    learn = ft.fcn_learner(dls, net, ignore='Unlabelled', output_stride=output_stride,
                           opt_func=ft.nag, cbs=ft.NoBiasDecay())
    ft.seed_everything(seed, dls)
    with learn.no_bar(), learn.no_logging():
        learn.fit_warmup_cos(n_epoch, lr, warmup_epochs=1, cbs=without_validation())
    return learn

def run(camvid, weights, arm, seed, size, n=None, **settings):
    "Train one FCN; its row"
    start = time.time()
    learn = trained(camvid, weights, arm, seed, size=size, n=n, **settings)
    with learn.no_bar(), learn.no_logging(): _,accuracy,miou = learn.validate()
    before = {} if arm=='scratch' else pretraining(weights, arm, seed)
    return dict(
        arm=arm, seed=seed, data=Path(camvid).name, size=size_text(size), **settings,
        train=len(learn.dls.train_ds),
        pictures=len(learn.dls.valid_ds),
        pixel_accuracy=f'{accuracy:.5f}',
        miou=f'{miou:.5f}',
        pretrained_on=f"{before['data']}, {before['n_epoch']} epochs" if before else '',
        pretrained_accuracy=before.get('accuracy', ''),
        seconds=f'{time.time()-start:.0f}',
        **on_machine(learn.dls))

def size_text(size): return 'x'.join(map(str, size))

def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('camvid', help='folder of the data')
    p.add_argument('weights', help='folder of the backbones')
    p.add_argument('--arms', nargs='+', default=arms, choices=arms)
    p.add_argument('--seeds', type=int, nargs='+', default=[0,1,2], help='which (default 0 1 2)')
    p.add_argument('--size', type=int, nargs=2, default=(72,96), help='height and width in pixels (default 72 96)')
    p.add_argument('--n', type=int, help='use the first N images of each list only')
    p.add_argument('--out', type=Path, default=out, help='CSV of the rows')
    add_arguments(p, choices)
    return p.parse_args()

def main():
    warnings.simplefilter('ignore')
    a = arguments()
    settings = {k:getattr(a, k) for k in choices}
    for seed in a.seeds:
        for arm in a.arms:
            wanted = dict(arm=arm, seed=seed, data=Path(a.camvid).name, size=size_text(a.size), **settings)
            if not a.n and is_done(a.out, wanted): continue
            if arm!='scratch' and is_missing(a.weights, arm, seed): continue
            row = run(a.camvid, a.weights, arm, seed, tuple(a.size), a.n, **settings)
            append_row(a.out, row, head)
            scores = f"pixel accuracy {row['pixel_accuracy']}, mIoU {row['miou']}"
            print(f"{arm} {seed}: {scores}, {row['seconds']} s", flush=True)

if __name__=='__main__': main()
