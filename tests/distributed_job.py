"What the processes of test_distributed.py run: `distributed_job.py OUT WORLD WHAT...`, by python or torchrun"
import hashlib, json, os, sys, time, warnings
from pathlib import Path
from fastai.basics import *
from fastai.callback.progress import CSVLogger, ProgressCallback
from fastai.callback.tracker import EarlyStoppingCallback, SaveModelCallback
from fastai.callback.training import GradientAccumulation, GradientClip
from fastai.metrics import Dice, DiceMulti, F1Score, LossMetric, MatthewsCorrCoef, Perplexity, RocAuc
import fastai.callback.schedule
from fastai_tricks.all import *
from fastai_tricks.base.trial import CheckNet, Strike, check_dls
warnings.simplefilter('ignore')

rank,running = rank_distrib(),max(1, num_distrib())
whole_bs = 16

def net(n_out=4, drop=0.):
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Dropout(drop), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
                         nn.Linear(32, n_out))

def norm_net():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
                         nn.Linear(32, 4))

def silent(learn):
    "`learn` without bars and logging"
    learn.remove_cb(ProgressCallback)
    learn.logger = noop
    return learn

def made(world, n=45, n_valid=19, opt=SGD, cbs=(), loss=None, drop=0., dls=None, model=None, lr=.05):
    "A Learner whose processes share batches of 16; with one process it has them alone"
    seed_everything(3+rank) # another start in every process: the weights must be sent
    dls = dls or check_dls(bs=whole_bs//world, n=n, n_valid=n_valid)
    if rank==0 or running==1: seed_everything(3, dls)
    torch.manual_seed(3+rank)
    return silent(Learner(dls, model or net(drop=drop), loss_func=loss or CrossEntropyLossFlat(), opt_func=opt, lr=lr,
                          cbs=list(cbs), metrics=[accuracy, F1Score(average='macro')]))

def weights(learn): return torch.cat([o.detach().flatten() for o in learn.model.parameters()])
def digest(learn): return hashlib.md5(weights(learn).numpy().tobytes()).hexdigest()
def floats(os): return [float(o) for o in os]

class Digests(Callback):
    "The weights of this process after each epoch"
    order = 10**8
    def before_fit(self): self.seen = []
    def after_epoch(self): self.seen.append(digest(self.learn))

# What must equal one process

torch.manual_seed(99)
teacher = net()

def fit(learn): learn.fit(3)
def fit_cosine(learn): learn.fit_warmup_cos(3, .1, warmup_epochs=1)
def fit_one_cycle(learn): learn.fit_one_cycle(3)

def cases(world):
    "Name of a training to the arguments of `made` and the way to fit"
    def accumulation(): return GradientAccumulation(32//world)
    bag = [LabelSmoothing(), Distill(teacher, T=4.), NoBiasDecay(), accumulation()]
    return dict(
        plain=(dict(), fit),
        adam=(dict(opt=Adam, lr=1e-2), fit),
        adamw=(dict(opt=OptFunc(torch.optim.AdamW), lr=1e-2), fit_one_cycle),
        short_tail=(dict(n=49), fit),
        smoothing=(dict(cbs=[LabelSmoothing()]), fit),
        warmup_cosine=(dict(), fit_cosine),
        nag=(dict(opt=nag, cbs=[NoBiasDecay()]), fit_cosine),
        accumulation=(dict(cbs=[accumulation()]), fit),
        distill=(dict(cbs=[Distill(teacher, T=4.)]), fit),
        weighted=(dict(loss=CrossEntropyLossFlat(weight=torch.arange(1., 5))), fit),
        summed=(dict(loss=CrossEntropyLossFlat(reduction='sum'), lr=2e-3), fit),
        bag=(dict(opt=nag, cbs=bag), fit_cosine),
        clipping=(dict(cbs=[GradientClip(.1)]), fit),
    )

def run_case(world, kw, fit):
    "What a training ends with in this process"
    learn,digests = made(world, **kw),Digests()
    learn.add_cb(digests)
    with learn.processes(): fit(learn)
    return dict(
        weights=weights(learn).tolist(),
        losses=floats(learn.recorder.losses),
        values=[floats(list(o)[:4]) for o in learn.recorder.values],
        seen=digests.seen,
        hypers=floats(learn.recorder.lrs),
    )

def predictions(world):
    "Predictions on the validation set, on another loader, and on one item"
    learn = made(world)
    with learn.processes():
        learn.fit(1)
        preds,targs,losses = learn.get_preds(with_loss=True)
        return dict(
            preds=preds.tolist(),
            targs=targs.tolist(),
            losses=losses.tolist(),
            valid=floats(learn.validate()),
            given=learn.get_preds(dl=check_dls(bs=4, n_valid=7).valid)[0].tolist(),
            single=learn.get_preds(dl=learn.dls.valid.new(get_idxs=lambda: [5]))[0].tolist(),
        )

def found_rate(world, out):
    "What `lr_find` finds, whether the weights stay, and a fit after it"
    learn = made(world)
    learn.path = out/f'find{rank}'
    with learn.processes():
        before = weights(learn)
        valley = float(learn.lr_find(num_it=12, show_plot=False).valley)
        same,losses = bool(torch.equal(before, weights(learn))),floats(learn.recorder.losses)
        learn.fit(1)
    return dict(valley=valley, losses=losses, same=same, after=weights(learn).tolist())

class Margin(Metric):
    "A metric of a user's own: the widest margin of a batch, and its loss"
    def reset(self): self.kept = []
    def accumulate(self, learn): self.kept.append(float(learn.pred.max()-learn.pred.min()+learn.loss)*len(learn.y))
    @property
    def value(self): return sum(self.kept)/len(self.kept)

class Confused(Metric):
    "A metric of a user's own that says what adds up"
    sums = ('table',)
    def reset(self): self.table = None
    def accumulate(self, learn):
        table = torch.bincount(learn.y*4+learn.pred.argmax(1), minlength=16)
        self.table = table if self.table is None else self.table+table
    @property
    def value(self): return float((self.table*torch.arange(16)).sum())

class NotedLoss(CrossEntropyLossFlat):
    "Keeps a part of the loss, as `LossMetric` measures it"
    def __call__(self, pred, y, **kw):
        self.top = pred.detach().max()
        return super().__call__(pred, y, **kw)

def share_of_first(pred, y): return (y==y[0]).float().mean() # a mean over items of another batch is another number

def every_metric():
    "A metric of each kind"
    counted = [AvgMetric(accuracy), AvgMetric(share_of_first), Dice(), DiceMulti(),
               F1Score(average='macro'), MatthewsCorrCoef(), RocAuc(), Confused(), Margin()]
    return counted + [AvgLoss(), AvgSmoothLoss(), Perplexity(), LossMetric('top'), ValueMetric(lambda: 7., 'seven')]

def measures(world):
    "What metrics of each kind measure in training and validation, whose last batches are smaller than the processes"
    learn = made(world, n=49, n_valid=17, loss=NotedLoss(weight=torch.arange(1., 5)))
    learn.metrics,learn.recorder.train_metrics = every_metric(),True
    with learn.processes(): learn.fit(2)
    names = list(learn.recorder.metric_names)[1:-1]
    return {name:floats(o) for name,o in zip(names, zip(*learn.recorder.values))}

def equality(world, out):
    "Everything that must equal one process"
    res = {name:run_case(world, kw, fit) for name,(kw,fit) in cases(world).items()}
    return dict(res, preds=predictions(world), find=found_rate(world, out), metrics=measures(world))

# What makes sense with several processes only

class NotedMixUp(MixUp):
    "Notes each λ in the Learner"
    def blend(self, xb, yb, rng):
        xb,mixed = super().blend(xb, yb, rng)
        self.learn.lams.append(float(mixed[0][0]))
        return xb,mixed

def draws_of_its_own(world, out):
    learn = made(world, cbs=[NotedMixUp(.4), LabelSmoothing()])
    learn.lams = []
    with learn.processes(): learn.fit(2)
    return dict(lams=learn.lams, mixed=weights(learn).tolist())

def files_of(folder): return sorted(str(o.relative_to(folder)) for o in folder.rglob('*') if o.is_file())

def files(world, out):
    "Each process has a folder of its own here, to see who writes"
    mine = out/f'rank{rank}'
    mine.mkdir(exist_ok=True)
    learn = made(world, cbs=[SaveModelCallback(monitor='accuracy'), ProgressCallback()])
    learn.path,learn.logger = mine,print
    with learn.processes():
        learn.fit(2, cbs=[CSVLogger(), Checkpoint(mine/'ckpt')])
        learn.save('end')
        learn.export('all.pkl')
        print('inside')
    exported = (mine/'all.pkl').read_bytes() if rank==0 else b''
    left = dict(
        cbs=[type(o).__name__ for o in learn.cbs],
        run=[o.run for o in learn.cbs],
        keys=sorted(learn.__dict__),
        loaders=[type(o).__name__ for o in learn.dls.loaders],
    )
    return dict(
        files=files_of(mine),
        left=left,
        saved=weights(learn).tolist(),
        export=[o.decode() for o in (b'Ranks',b'RankedLoader',b'distributed') if o in exported],
    )

strikes = [
    ('after_batch', KeyboardInterrupt('stop')),
    ('after_pred', ValueError('bad batch')),
    ('after_loss', RuntimeError('CUDA out of memory')),
    ('before_step', KeyboardInterrupt('stop')),
]

def struck(world, event, exc):
    "What came out of a fit that `exc` ended, whether the Learner is as before, and whether it can go on"
    learn = made(world)
    model,dls,loaders,cbs = learn.model,learn.dls,list(learn.dls.loaders),list(learn.cbs)
    try:
        with learn.processes(): learn.fit(1, cbs=Strike(event, exc, order=8))
    except BaseException as e: came = type(e).__name__
    as_before = learn.model is model and learn.dls is dls and list(learn.cbs)==cbs
    as_before = as_before and all(a is b for a,b in zip(learn.dls.loaders, loaders))
    with learn.processes(): learn.fit(1)
    learn.fit(1) # and without
    return [event, came, as_before, bool(torch.isfinite(weights(learn)).all())]

class Stop(Callback):
    "Raise `exc` in batch `n` of training, in the processes `ranks`"
    order,in_identity = 70,False # a training goes on without it
    not_state = ('exc','n','ranks')
    def __init__(self, exc, n, ranks): self.exc,self.n,self.ranks = exc,n,ranks
    def after_batch(self):
        if self.training and self.train_iter==self.n and rank in self.ranks: raise self.exc

def batches_until(world, stop):
    learn = made(world)
    with learn.processes(): learn.fit(3, cbs=stop)
    return len(learn.recorder.losses)

def epochs_until(world, cb):
    learn = made(world, cbs=[cb])
    with learn.processes(): learn.fit(5)
    return len(learn.recorder.values)

def decisions(world, out):
    early = EarlyStoppingCallback(monitor='valid_loss', min_delta=10., patience=1)
    return dict(
        first=batches_until(world, Stop(CancelFitException(), 2, [0])),
        other=batches_until(world, Stop(CancelFitException(), 2, [1])),
        epoch=batches_until(world, Stop(CancelEpochException(), 2, [0])),
        early=epochs_until(world, early),
    )

never = (KeyboardInterrupt(''), 99, []) # so that all Learners have the same callbacks

def by_chance(world):
    "A Learner with chance in its training"
    return made(world, cbs=[MixUp(.4), LabelSmoothing()], drop=.2)

def fit_by_chance(learn, *cbs): learn.fit_warmup_cos(4, .1, warmup_epochs=1, cbs=list(cbs))

def resumed_as(world, whole, folder, n, every):
    "Are weights and losses those of `whole`, when the training was stopped in batch `n` and resumed?"
    learn,stop = by_chance(world),Stop(KeyboardInterrupt('stop'), n, range(world))
    try:
        with learn.processes(): fit_by_chance(learn, stop, Checkpoint(folder, every=every))
    except KeyboardInterrupt: pass
    seed_everything(77+rank)
    learn = by_chance(world)
    with learn.processes(): learn.resume(folder, cbs=Stop(*never))
    same_losses = floats(learn.recorder.losses[-3:])==floats(whole.recorder.losses[-3:])
    return [bool(torch.equal(weights(learn), weights(whole))), same_losses]

def resumed(world, out):
    whole = by_chance(world)
    with whole.processes(): fit_by_chance(whole, Stop(*never))
    stops = [(7,'epoch'), (8,2)] # between two epochs' checkpoints, and in the middle of an epoch
    same = [resumed_as(world, whole, out/f'resume{i}', *o) for i,o in enumerate(stops)]
    return dict(resumed=same, drop=weights(whole).tolist())

def loaders(num_workers, bs):
    ds = check_dls(n=45, n_valid=19).train_ds, check_dls(n=45, n_valid=19).valid_ds
    dls = DataLoaders(*[TfmdDL(o, bs=bs, shuffle=i==0, num_workers=num_workers) for i,o in enumerate(ds)])
    dls.c = 4
    return dls

def with_workers(world):
    learn = made(world, dls=loaders(1, whole_bs//world))
    with learn.processes(): learn.fit(1)
    return weights(learn).tolist()

def batch_norm_twice(world):
    "Batch norm, low precision, and two fits within one context"
    learn = made(world, model=norm_net(), cbs=[AMP('fp16', init_scale=2.**8)])
    with learn.processes():
        learn.fit(1)
        learn.fit_warmup_cos(1, .01, warmup_epochs=.5)
    return torch.cat([o.detach().float().flatten() for o in learn.model.state_dict().values()]).tolist()

def refused_features(world):
    learn = made(world, cbs=[Distill(net(), features={'3':'3'})])
    try:
        with learn.processes(): learn.fit(1)
    except ValueError as e: return str(e)

def several(world, out):
    "What makes sense with several processes only"
    res = {}
    for f in (draws_of_its_own, files, decisions, resumed): res.update(f(world, out))
    return dict(
        res,
        struck=[struck(world, *o) for o in strikes],
        workers=with_workers(world),
        bn=batch_norm_twice(world),
        features=refused_features(world),
    )

# Every trick

needs = dict(
    compiled=dict(backend='aot_eager'),
    distill=dict(teacher=net),
    warmup_cosine=dict(warmup_epochs=.5),
    warmup_steps=dict(warmup_epochs=.5),
    mix_switch=dict(first=MixUp(.2), second=CutMix(1.)),
)

def with_trick(world, name, trick):
    "Are the weights finite, and what are they after each epoch and in the end?"
    t = trick(**needs[name]) if name in needs else trick
    arch = CheckNet
    if name.startswith(('resnet','zero_g')): arch = partial(resnet18a, stem='small', widen=.125)
    dls = partial(check_dls, bs=whole_bs//world, n=35, n_valid=19, size=16)
    base = Spec(dls, arch, fit='fit', n_epoch=1, lr=.01, loss_func=CrossEntropyLossFlat(), seed=5)
    spec,digests = t.apply(base),Digests()
    learn = silent(spec.learner()).add_cb(digests)
    with learn.processes(): spec.train(learn)
    return [bool(torch.isfinite(weights(learn)).all()), digests.seen, digest(learn)]

def all_tricks(world, out):
    "Every registered trick trains"
    return {name:with_trick(world, name, o) for name,o in tricks.items()}

# Trouble

class Sleep(Callback):
    "Process 1 does not answer"
    def after_batch(self):
        if rank==1: time.sleep(500)

def hang(world, out):
    "How long does process 0 wait when the other sleeps? Then the exception reaches the end of the script"
    learn = made(world)
    with learn.processes(timeout=4): learn.fit(1)
    begun = time.time()
    try:
        with learn.processes(): learn.fit(1, cbs=Sleep)
    except LostProcess as e:
        if rank==0: (out/'hang.json').write_text(json.dumps(dict(message=str(e), waited=time.time()-begun)))
    raise SystemExit(1)

def plain_case(world, out): return dict(plain=run_case(world, *cases(world)['plain']))

jobs = dict(
    equality=equality,
    several=several,
    tricks=all_tricks,
    hang=hang,
    launch=plain_case,
)

def main(out, world, *what):
    res = {}
    for o in what: res.update(jobs[o](world, out))
    (out/f'{what[0]}-{max(1, num_distrib())}-{rank_distrib()}.json').write_text(json.dumps(res))

if __name__=='__main__': main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
