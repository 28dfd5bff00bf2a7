"""Backbones for the transfer benchmarks: small networks trained with the plain recipe and with the paper's refinements.

    python -m benchmarks.pretrain OUT                       ResNet-18-D on the embedded images, 3 seeds, both arms
    python -m benchmarks.pretrain OUT --data FOLDER         on a folder of images, one subfolder per class

Arm `plain` is the paper's efficient training (steps, no decay of biases).
Arm `refined` adds the cosine, label smoothing and mixup (He et al. 2018, section 5).
Network, data, epochs, peak rate and seeds are the same.
OUT/ARM-SEED.pt gets the state dict of the whole network, head included, made for three channels.
OUT/pretrain.csv gets a row for each. What is there already is not trained again."""
import argparse, os, time, warnings
from pathlib import Path
from benchmarks.rows import append_row
os.environ.setdefault('OMP_NUM_THREADS', '1')

names = ('plain','refined')
head  = 'arm seed arch widen data size n_epoch accuracy valid_loss seconds torch fastai'.split()

def embedded_rgb(size=40, bs=64, n=5000, n_valid=1000):
    "The embedded images in three channels, `size` pixels wide"
    from fastai.vision.all import (CategoryBlock, DataBlock, ImageBlock, IndexSplitter, ItemGetter, Normalize,
                                   PILImage, Resize, ResizeMethod)
    from fastai_tricks.all import in_memory, tiny_arrays
    from fastai_tricks.data.samples import classes
    a = tiny_arrays()
    pairs = [o for part,k in (('train',n), ('valid',n_valid)) for o in zip(a[f'{part}_x'][:k], a[f'{part}_y'][:k])]
    items = [(x[...,None].repeat(3, -1),classes[y]) for x,y in pairs]
    block = DataBlock(
        (ImageBlock(PILImage), CategoryBlock(classes, sort=False)),
        getters=[ItemGetter(0), ItemGetter(1)],
        splitter=IndexSplitter(range(n, n+n_valid)),
        item_tfms=Resize(size, method=ResizeMethod.Squish),
        batch_tfms=[Normalize.from_stats([.286]*3, [.353]*3)],
    )
    return in_memory(block.dataloaders(items, bs=bs, num_workers=0))

def tricks_of(arm, lr):
    from fastai_tricks.all import LabelSmoothing, MixUp, bag, nag, tricks
    base = [tricks.nag(lr=lr), 'no_bias_decay']
    return bag(*base, 'warmup_steps') if arm=='plain' else bag(*base, 'warmup_cosine', LabelSmoothing(.1), MixUp(.2))

def save(model, file):
    "Write the weights, whole or not at all"
    import torch
    temporary = file.with_suffix('.tmp')
    torch.save({k:v.detach().cpu() for k,v in model.state_dict().items()}, temporary)
    temporary.replace(file)

def pretrain(out, data='embedded', arms=names, seeds=3, n_epoch=6, arch='resnet18d', widen=1., size=40, n=5000, lr=.2):
    "Train what is missing in `out`"
    import fastai, torch
    from fastai_tricks import all as ft
    from fastai.callback.progress import ProgressCallback
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    dls = embedded_rgb(size, n=n) if str(data)=='embedded' else ft.folder_dls(data, size=size)
    for seed in range(seeds):
        for arm in arms:
            file = out/f'{arm}-{seed}.pt'
            if file.exists(): continue
            start = time.time()
            spec = tricks_of(arm, lr).spec(dls, getattr(ft, arch), n_epoch, seed, model_kw=dict(widen=widen))
            learn = spec.learner()
            learn.remove_cb(ProgressCallback)
            spec.train(learn)
            loss,acc = learn.validate()
            save(learn.model, file)
            append_row(out/'pretrain.csv', dict(
                arm=arm,
                seed=seed,
                arch=arch,
                widen=widen,
                data=Path(data).name,
                size=size,
                n_epoch=n_epoch,
                accuracy=f'{acc:.4f}',
                valid_loss=f'{loss:.4f}',
                seconds=f'{time.time()-start:.0f}',
                torch=torch.__version__,
                fastai=fastai.__version__,
            ), head)
            print(f'{file.name}: accuracy {acc:.4f}', flush=True)

def main():
    warnings.simplefilter('ignore')
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('out', help='folder for the weights')
    p.add_argument('--data', default='embedded', help='`embedded`, or a folder of images')
    p.add_argument('--arms', nargs='+', default=names, choices=names)
    for nm,v,what in (('seeds',3,'how many'),('n_epoch',6,'epochs'),('arch','resnet18d','a builder of the package'),
                      ('widen',1.,'multiplies the channels'),('size',40,'height and width in pixels'),
                      ('n',5000,'embedded images to train on'),('lr',.2,'peak rate for a batch of 256')):
        p.add_argument(f'--{nm}', type=type(v), default=v, help=f'{what} (default {v})')
    pretrain(**vars(p.parse_args()))

if __name__=='__main__': main()
