"""Modules of the flat layout before the chapters: exported Learners that were written then name them, and must load.
`fastai_tricks.detection.Detector` is found in the rooms of `fastai_tricks.transfer`.
Nothing new should name these modules."""
import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path

chapter_of = { # Old module to the chapter that holds what was in it
    'ablation':     'evidence',
    'check':        'base',
    'core':         'base',
    'cutmix':       'target',
    'data':         'data',
    'detection':    'transfer',
    'distill':      'target',
    'distributed':  'train',
    'mixup':        'target',
    'optim':        'train',
    'precision':    'train',
    'resnet':       'model',
    'resume':       'train',
    'schedule':     'train',
    'segmentation': 'transfer',
    'show':         'base',
    'surgery':      'model',
    'targets':      'target',
}

def find_in(old):
    "A `__getattr__` for the old module `old`: looks for a name in the rooms of its chapter"
    chapter = chapter_of[old]
    rooms = sorted(p.stem for p in (Path(__file__).parent/chapter).glob('[!_]*.py'))
    def __getattr__(name):
        if not name.startswith('__'):
            for room in rooms:
                found = vars(import_module(f'fastai_tricks.{chapter}.{room}'))
                if name in found: return found[name]
        raise AttributeError(f"`fastai_tricks.{old}` had no `{name}`, or `fastai_tricks.{chapter}` has lost it.")
    return __getattr__

class MovedModules(MetaPathFinder, Loader):
    "Makes the old modules importable"
    role = 'moved modules'
    def find_spec(self, fullname, path=None, target=None):
        package,_,old = fullname.rpartition('.')
        return ModuleSpec(fullname, self) if package=='fastai_tricks' and old in chapter_of else None

    def exec_module(self, module): module.__getattr__ = find_in(module.__name__.rpartition('.')[2])

def install():
    "Look for old modules after everything that Python finds by itself"
    known = any(getattr(o, 'role', None)==MovedModules.role for o in sys.meta_path) # this module may be loaded again
    if not known: sys.meta_path.append(MovedModules())
