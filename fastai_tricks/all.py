"Everything public: `from fastai_tricks.all import *` after `from fastai.vision.all import *`"
from fastai_tricks.core import *
from fastai_tricks.data import *
from fastai_tricks.show import *
from fastai_tricks.check import *
from fastai_tricks.schedule import *
from fastai_tricks.optim import *
from fastai_tricks.resnet import *
from fastai_tricks.surgery import *
from fastai_tricks.targets import *
from fastai_tricks.mixup import *
from fastai_tricks.cutmix import *
from fastai_tricks.distill import *
from fastai_tricks.ablation import *
