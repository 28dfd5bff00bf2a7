"""Exports of Learners that hold something of every kind that the package has, read in one process where it is not.

A new public callback, optimizer, batch transform, recipe or builder of networks is covered by itself."""
import inspect, subprocess, sys, warnings
from functools import partial
import pytest, torch
from torch import nn
from fastai.vision.all import (Callback, Learner, RandTransform, accuracy, load_learner, trainable_params,
                               vision_learner)
import fastai_tricks.all as ours
from fastai_tricks.base.callback import TrickCallback
from fastai_tricks.base.export import names_in_export
from fastai_tricks.base.runs import current_run
from fastai_tricks.data.samples import tiny_dls
from fastai_tricks.train.optim import OptFunc

public = {o:getattr(ours, o) for o in dir(ours) if not o.startswith('_')}
small = partial(tiny_dls, bs=16, n_train=32, n_valid=16)

def net(): return nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))

def quiet_fit(learn, n=1):
    with learn.no_bar(), learn.no_logging(): learn.fit(n, 1e-2)

def is_class(o, base): return inspect.isclass(o) and issubclass(o, base)
