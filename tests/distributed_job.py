"What the processes of test_distributed.py run: `python distributed_job.py OUT WORLD WHAT...`, or the same under torchrun"
import hashlib, json, os, sys, time, warnings
from pathlib import Path
from fastai.basics import *
from fastai.callback.progress import CSVLogger, ProgressCallback
from fastai.callback.tracker import EarlyStoppingCallback, SaveModelCallback
from fastai.callback.training import GradientAccumulation, GradientClip
from fastai.metrics import F1Score
import fastai.callback.schedule
from fastai_tricks.all import *
from fastai_tricks.base.trial import CheckNet, check_dls
from fastai_tricks.target.target import batch_target
warnings.simplefilter('ignore')

rank,running = rank_distrib(),max(1, num_distrib())
whole_bs = 16

def net(n_out=4, drop=0.): return nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Dropout(drop), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, n_out))

def made(world, n=45, n_valid=19, opt=SGD, cbs=(), loss=None, drop=0., metrics=True, dls=None, model=None, lr=.05):
    "A Learner whose processes share batches of 16; with one process it has them alone"
    seed_everything(3+rank) # another start in every process: the weights must be sent
    dls = dls or check_dls(bs=whole_bs//world, n=n, n_valid=n_valid)
    if rank==0 or running==1: seed_everything(3, dls)
    torch.manual_seed(3+rank)
    learn = Learner(dls, model or net(drop=drop), loss_func=loss or CrossEntropyLossFlat(), opt_func=opt, lr=lr, cbs=list(cbs), metrics=[accuracy, F1Score(average='macro')] if metrics else [])
    learn.remove_cb(ProgressCallback)
    learn.logger = noop
    return learn

def weights(learn): return torch.cat([o.detach().flatten() for o in learn.model.parameters()])

class Digests(Callback):
    "The weights of this process after each epoch"
    order = 10**8
    def before_fit(self): self.seen = []
    def after_epoch(self): self.seen.append(hashlib.md5(weights(self.learn).numpy().tobytes()).hexdigest())

torch.manual_seed(99)
teacher = net()
def cases(world):
    acc = partial(GradientAccumulation, 32//world)
    fit = lambda l: l.fit(3)
    cos = lambda l: l.fit_warmup_cos(3, .1, warmup_epochs=1)
    return dict(plain=(dict(), fit), adam=(dict(opt=Adam, lr=1e-2), fit), adamw=(dict(opt=OptFunc(torch.optim.AdamW), lr=1e-2), lambda l: l.fit_one_cycle(3)), short_tail=(dict(n=49), fit),
        smoothing=(dict(cbs=[LabelSmoothing()]), fit), warmup_cosine=(dict(), cos), nag=(dict(opt=nag, cbs=[NoBiasDecay()]), cos), accumulation=(dict(cbs=[acc()]), fit),
        distill=(dict(cbs=[Distill(teacher, T=4.)]), fit), weighted=(dict(loss=CrossEntropyLossFlat(weight=torch.arange(1., 5))), fit), summed=(dict(loss=CrossEntropyLossFlat(reduction='sum'), lr=2e-3), fit),
        bag=(dict(opt=nag, cbs=[LabelSmoothing(), Distill(teacher, T=4.), NoBiasDecay(), acc()]), cos), clipping=(dict(cbs=[GradientClip(.1)]), fit))

def run_case(world, kw, fit):
    learn,dig = made(world, **kw),Digests()
    learn.add_cb(dig)
    with learn.processes(): fit(learn)
    return dict(weights=weights(learn).tolist(), losses=[float(o) for o in learn.recorder.losses], values=[list(map(float, list(o)[:4])) for o in learn.recorder.values], seen=dig.seen, hypers=[float(o) for o in learn.recorder.lrs])

def equality(world, out):
    "Everything that must equal one process"
    res = {nm:run_case(world, kw, fit) for nm,(kw,fit) in cases(world).items()}
    learn = made(world)
    with learn.processes():
        learn.fit(1)
        preds,targs,losses = learn.get_preds(with_loss=True)
        res['preds'] = dict(preds=preds.tolist(), targs=targs.tolist(), losses=losses.tolist(), valid=list(map(float, learn.validate())), given=learn.get_preds(dl=check_dls(bs=4, n_valid=7).valid)[0].tolist())
        few = learn.dls.valid.new(get_idxs=lambda: [5])
        res['single'] = learn.get_preds(dl=few)[0].tolist()
    learn = made(world)
    learn.path = out/f'find{rank}'
    with learn.processes():
        before = weights(learn)
        found = learn.lr_find(num_it=12, show_plot=False)
        res['find'] = dict(valley=float(found.valley), losses=[float(o) for o in learn.recorder.losses], same=bool(torch.equal(before, weights(learn))))
        learn.fit(1)
        res['find']['after'] = weights(learn).tolist()
    return res

def loaders(num_workers, bs):
    ds = check_dls(n=45, n_valid=19).train_ds, check_dls(n=45, n_valid=19).valid_ds
    dls = DataLoaders(*[TfmdDL(o, bs=bs, shuffle=i==0, num_workers=num_workers) for i,o in enumerate(ds)])
    dls.c = 4
    return dls

class Lam(Callback):
    order = 4.5
    def before_batch(self):
        if self.training: self.learn.lams.append(float(batch_target(self.learn).labels[0][0]))

class Stop(Callback):
    "Raise `exc` in batch `n` of training, in the processes `ranks`"
    order = 70
    def __init__(self, exc, n, ranks): self._at = exc,n,ranks
    def after_batch(self):
        exc,n,ranks = self._at
        if self.training and self.train_iter==n and rank in ranks: raise exc

def several(world, out):
    "What makes sense with several processes only"
    res,mine = {},out/f'rank{rank}'
    mine.mkdir(exist_ok=True)
    learn = made(world, cbs=[MixUp(.4), LabelSmoothing(), Lam])
    learn.lams = []
    with learn.processes(): learn.fit(2)
    res['lams'],res['mixed'] = learn.lams,weights(learn).tolist()

    # files: each process has a folder of its own here, to see who writes
    learn = made(world, cbs=[SaveModelCallback(monitor='accuracy'), ProgressCallback()])
    learn.path = mine
    learn.logger = print
    from fastai_tricks.train.checkpoint import read_checkpoint
    with learn.processes():
        learn.fit(2, cbs=[CSVLogger(), Checkpoint(mine/'ckpt')])
        learn.save('end')
        learn.export('all.pkl')
        print('inside')
    res['files'] = sorted(str(o.relative_to(mine)) for o in mine.rglob('*') if o.is_file())
    res['left'] = dict(cbs=[type(o).__name__ for o in learn.cbs], run=[o.run for o in learn.cbs], keys=sorted(learn.__dict__), loaders=[type(o).__name__ for o in learn.dls.loaders])
    res['saved'] = weights(learn).tolist()
    if rank==0: res['export'] = [o for o in (b'Ranks',b'RankedLoader',b'distributed') if o in (mine/'all.pkl').read_bytes()]

    # exceptions leave nothing behind
    for exc,at in ((KeyboardInterrupt('stop'), 'after_batch'), (ValueError('bad batch'), 'after_pred'), (RuntimeError('CUDA out of memory'), 'after_loss'), (KeyboardInterrupt('stop'), 'before_step')):
        learn = made(world)
        strike = Callback()
        strike.order = 8
        def hit(learn=learn, exc=exc):
            if learn.training and learn.train_iter==1: raise exc
        setattr(strike, at, hit)
        model,dls,loaders_,cbs = learn.model,learn.dls,list(learn.dls.loaders),list(learn.cbs)
        try:
            with learn.processes(): learn.fit(1, cbs=strike)
        except BaseException as e: got = type(e).__name__
        ok = learn.model is model and learn.dls is dls and all(a is b for a,b in zip(learn.dls.loaders, loaders_)) and list(learn.cbs)==cbs
        with learn.processes(): learn.fit(1)
        learn.fit(1) # and without
        res.setdefault('struck', []).append([at, got, ok, bool(torch.isfinite(weights(learn)).all())])

    # decisions are process 0's
    for nm,ranks,exc in (('first',[0],CancelFitException()), ('other',[1],CancelFitException()), ('epoch',[0],CancelEpochException())):
        learn = made(world)
        with learn.processes(): learn.fit(3, cbs=Stop(exc, 2, ranks))
        res[nm] = len(learn.recorder.losses)
    learn = made(world, cbs=[EarlyStoppingCallback(monitor='valid_loss', min_delta=10., patience=1)])
    with learn.processes(): learn.fit(5)
    res['early'] = len(learn.recorder.values)

    # resume: in the middle of a training with chance in it, equal to the last bit
    kw = dict(cbs=[MixUp(.4), LabelSmoothing()], drop=.2)
    fit = lambda l,*cbs: l.fit_warmup_cos(4, .1, warmup_epochs=1, cbs=list(cbs))
    whole = made(world, **kw)
    with whole.processes(): fit(whole, Stop(KeyboardInterrupt(''), 99, []))
    for i,(n,every) in enumerate([(7,'epoch'),(8,2)]):
        learn = made(world, **kw)
        try:
            with learn.processes(): fit(learn, Stop(KeyboardInterrupt('stop'), n, range(world)), Checkpoint(out/f'resume{i}', every=every))
        except KeyboardInterrupt: pass
        seed_everything(77+rank)
        learn = made(world, **kw)
        with learn.processes(): learn.resume(out/f'resume{i}', cbs=Stop(KeyboardInterrupt(''), 99, []))
        res.setdefault('resumed', []).append([bool(torch.equal(weights(learn), weights(whole))), [float(o) for o in learn.recorder.losses[-3:]]==[float(o) for o in whole.recorder.losses[-3:]]])
    res['drop'] = weights(whole).tolist()

    # loaders with processes of their own; batch norm; low precision; twice within one context
    learn = made(world, dls=loaders(1, whole_bs//world))
    with learn.processes(): learn.fit(1)
    res['workers'] = weights(learn).tolist()
    learn = made(world, model=nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 4)), cbs=[AMP('fp16', init_scale=2.**8)])
    with learn.processes():
        learn.fit(1)
        learn.fit_warmup_cos(1, .01, warmup_epochs=.5)
    res['bn'] = torch.cat([o.detach().float().flatten() for o in learn.model.state_dict().values()]).tolist()
    learn = made(world, cbs=[Distill(net(), features={'3':'3'})])
    try:
        with learn.processes(): learn.fit(1)
    except ValueError as e: res['features'] = str(e)
    return res

def all_tricks(world, out):
    "Every registered trick trains; what each process ends with, and whether it is finite"
    res,needs = {},dict(compiled=dict(backend='aot_eager'), distill=dict(teacher=net), warmup_cosine=dict(warmup_epochs=.5), warmup_steps=dict(warmup_epochs=.5), mix_switch=dict(first=MixUp(.2), second=CutMix(1.)))
    for nm,t in tricks.items():
        if nm in needs: t = t(**needs[nm])
        base = Spec(partial(check_dls, bs=whole_bs//world, n=35, n_valid=19, size=16), partial(resnet18a, stem='small', widen=.125) if nm[:6] in ('resnet','zero_g') else CheckNet, fit='fit', n_epoch=1, lr=.01, loss_func=CrossEntropyLossFlat(), seed=5)
        spec,dig = t.apply(base),Digests()
        learn = spec.learner().remove_cb(ProgressCallback).add_cb(dig)
        learn.logger = noop
        with learn.processes(): spec.train(learn)
        res[nm] = [bool(torch.isfinite(weights(learn)).all()), dig.seen, hashlib.md5(weights(learn).numpy().tobytes()).hexdigest()]
    return res

def hang(world, out):
    "Process 1 sleeps in the middle of a fit; how long does process 0 wait?"
    class Sleep(Callback):
        def after_batch(self):
            if rank==1: time.sleep(500)
    learn,t = made(world),time.time()
    with learn.processes(timeout=4): learn.fit(1)
    t = time.time()
    try:
        with learn.processes(): learn.fit(1, cbs=Sleep)
    except LostProcess as e: return dict(said=str(e), waited=time.time()-t)

def lost_without(world, out):
    "As `hang`, and then the exception reaches the end of the script"
    res = hang(world, out)
    if rank==0: (out/'hang.json').write_text(json.dumps(res))
    raise SystemExit(1)

whats = dict(equality=equality, several=several, tricks=all_tricks, hang=lost_without, launch=lambda world,out: dict(plain=run_case(world, *cases(world)['plain'])))

def main(out, world, *what):
    res = {}
    for o in what: res.update(whats[o](world, out))
    (out/f'{what[0]}-{max(1, num_distrib())}-{rank_distrib()}.json').write_text(json.dumps(res))

if __name__=='__main__': main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
