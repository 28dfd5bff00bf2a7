"README's code for a student who comes from lesson 1 runs as it stands; only the download is replaced"
import re
from functools import partial
from pathlib import Path
import pytest

readme = (Path(__file__).resolve().parent.parent/'README.md').read_text(encoding='utf-8')

@pytest.fixture
def pets(tmp_path):
    "A few images named as those of the pets: cats begin with a capital"
    from PIL import Image
    from fastai_tricks.data.samples import tiny_arrays
    arrays = tiny_arrays()
    (tmp_path/'images').mkdir()
    for i in range(120): # a batch of 64 and some to measure with
        name = 'Birman' if arrays['train_y'][i]%2 else 'beagle'
        Image.fromarray(arrays['train_x'][i]).convert('RGB').save(tmp_path/'images'/f'{name}_{i}.jpg')
    return tmp_path

def test_the_lines_after_lesson_1(pets, monkeypatch):
    import fastai.vision.all as vision
    from fastai_tricks.all import LabelSmoothing, MixUp, NoBiasDecay
    from fastai_tricks.base.reload import has_role
    code = re.search(r'```python\n(.*?)```', readme, re.S)[1]
    lines = [o for o in code.splitlines() if o.strip()]
    assert len(lines)<=10 and 'fine_tune_cos' in code
    monkeypatch.setattr(vision, 'untar_data', lambda url: pets)
    monkeypatch.setattr(vision, 'vision_learner', partial(vision.vision_learner, pretrained=False))
    small = code.replace('Resize(224)', 'Resize(32)').replace('(dls, resnet34', '(dls, resnet18')
    names = {'__name__':'readme'}
    exec(compile(small, 'README.md', 'exec'), names)
    learn = names['learn']
    assert [type(o) for o in learn.cbs if has_role(o, 'callback')]==[LabelSmoothing, MixUp, NoBiasDecay]
    assert len(learn.recorder.values)==3

def test_every_link_works_where_readme_is_copied_to():
    links = re.findall(r'\]\(([^)\s]+)\)', readme)
    assert links and not [o for o in links if not re.match(r'https://|#', o)]
    figures = re.findall(r'!\[([^\]]*)\]\(', readme)
    assert figures and all(figures)

def test_nothing_raw_is_shown():
    assert 'Traceback' not in readme
    assert not re.search(r'^\[\d+, [\d.]+', readme, re.M) # a logger's list
