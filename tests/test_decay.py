"""What does not decay is what timm does not decay: a dozen of its networks in the suite, all of them weekly."""
import pytest, timm, torch
from timm.optim import param_groups_weight_decay
from fastai_tricks.train.decay import no_decay_names

def by_timm(model):
    "Names of the parameters that timm's own grouping does not decay"
    names = getattr(model, 'no_weight_decay', set)()
    spared = {id(o) for o in param_groups_weight_decay(model, 1e-4, no_weight_decay_list=names)[0]['params']}
    return {name for name,p in model.named_parameters() if id(p) in spared}

def differences(archs):
    "Networks on which the two differ, and in what"
    res = {}
    for arch in archs:
        with torch.device('meta'):
            try: model = timm.create_model(arch)
            except (RuntimeError, NotImplementedError): continue # it computes while it is built
        a,b = no_decay_names(model),by_timm(model)
        if a!=b: res[arch] = sorted(a^b)[:4]
    return res

few = ['edgenext_small_rw', 'xcit_nano_12_p16_224', 'beit_base_patch16_224', 'levit_128', 'cait_xxs24_224',
       'crossvit_tiny_240',
       'swinv2_tiny_window8_256', 'volo_d1_224', 'coatnet_0_rw_224', 'mobilevit_xxs', 'deit_tiny_distilled_patch16_224',
       'twins_pcpvt_small', 'maxvit_tiny_rw_224']

def test_a_dozen_networks_decay_as_in_timm(): assert differences(few)=={}

@pytest.mark.slow
def test_all_networks_decay_as_in_timm():
    assert differences(timm.list_models())=={}
