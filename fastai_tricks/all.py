"Everything public, by name: `from fastai_tricks.all import *` after `from fastai.vision.all import *`. Of fastai's names it takes `MixUp` and `CutMix` only."
from fastai_tricks.core import AMP, Bag, NoEffectWarning, Spec, Trick, TrickCallback, as_trick, bag, build_model, describe, effects, seed_everything, trick, tricks
from fastai_tricks.data import BatchErasing, BatchResizedCrop, DataWait, MemoryDL, data_key, data_summary, folder_dls, in_memory, named_dls, tiny_arrays, tiny_dls
from fastai_tricks.show import LogTable, fig_svg, log_tables, show_effects, show_lines, svg_figures, trick_color
from fastai_tricks.check import check_dls, check_spec, check_trick
from fastai_tricks.schedule import WarmupSched, linear_scaling, scale_lr, show_sched, warmup_cos, warmup_cosine, warmup_step, warmup_steps
from fastai_tricks.optim import NoBiasDecay, OptFunc, adamw, decay_report, nag, no_bias_decay, no_decay_names
from fastai_tricks.precision import Compiled, best_precision, channels_last, compiled, large_batch, low_precision
from fastai_tricks.resume import Checkpoint, read_checkpoint
from fastai_tricks.distributed import LostProcess, Ranks, first_process_first, join_processes, rank_items, rank_sizes, ranked
from fastai_tricks.resnet import *
from fastai_tricks.surgery import *
from fastai_tricks.targets import LabelSmoothing, TargetCallback, label_smoothing, smooth_labels, target_loss
from fastai_tricks.mixup import *
from fastai_tricks.cutmix import *
from fastai_tricks.distill import *
from fastai_tricks.recipe import Recipe, fine_tuning, recipe, recipes, small_resnet18, transfer_net
from fastai_tricks.ablation import Ablation, ablate, arms, base_spec, calibration_error, check_writable, equal_time_epochs, in_words, ladders, read_rows, seconds_per_epoch, two_way
from fastai_tricks.segmentation import AuxLoss, MaskCheck, MeanIoU, PixelAccuracy, TimmStages, confusion, dilate, fcn_learner, fcn_model, ious, mask_codes, timm_arch
from fastai_tricks.detection import BoxMixUp, BoxTargets, DetectionLoss, Detector, MeanAP, box_table, detection_backbone, detection_learner, loss_terms, pixel_boxes, read_voc, scaled_boxes, voc_dls

__all__ = [o for o,v in globals().items() if not o.startswith('_') and getattr(v, '__module__', '').startswith('fastai_tricks') or o in ('tricks','ladders')]
